"""Enforces NetworkPolicies on the test's node, as the network of a real cluster does.

Only what the charts use: selectors by labels and by `Exists` and `In`, address blocks without
exceptions, ports by number. Anything else is refused loudly, because it would be enforced wrongly.
"""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import threading
import time
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import kubernetes.watch

from cluster.control_plane import ControlPlane

Object = dict[str, Any]
_SECONDS = 0.3


def enforce(plane: ControlPlane, bridge: str) -> threading.Thread:
    """Keep the packet filter in step with policies and pods for as long as this process lives."""
    rules = ["-i", bridge, "-j", "POLICIES"]
    for words in (["-N", "POLICIES"], ["-I", "FORWARD", *rules], ["-I", "INPUT", *rules]):
        subprocess.run(["iptables", *words], check=True)
    client = kubernetes.config.new_client_from_config(str(plane.kubeconfig()))
    thread = threading.Thread(target=_keep, args=(client,), daemon=True)
    thread.start()
    return thread


def _keep(client: k8s.ApiClient) -> None:
    core, network = k8s.CoreV1Api(client), k8s.NetworkingV1Api(client)
    lists = (
        core.list_pod_for_all_namespaces,
        core.list_namespace,
        network.list_network_policy_for_all_namespaces,
    )
    changed, before = threading.Event(), ""
    for each in lists:
        threading.Thread(target=_watch, args=(each, changed), daemon=True).start()
    while changed.wait():
        # What changes meanwhile is looked at again.
        changed.clear()
        try:
            read = [client.sanitize_for_serialization(each())["items"] for each in lists]
        except Exception:
            changed.set()
            time.sleep(_SECONDS)
            continue
        text = filter_rules(*read)
        if text != before:
            subprocess.run(["iptables-restore", "--noflush"], input=text.encode(), check=True)
            before = text
        time.sleep(_SECONDS)


def _watch(listed: Any, changed: threading.Event) -> None:
    """Say that something changed, for as long as this process lives."""
    while True:
        changed.set()
        with contextlib.suppress(Exception):
            for _ in kubernetes.watch.Watch().stream(listed, deserialize=False):
                changed.set()
        time.sleep(_SECONDS)


def filter_rules(pods: list[Object], namespaces: list[Object], policies: list[Object]) -> str:
    """What iptables-restore takes: a chain for what leaves an isolated pod, one for what enters.

    Raises:
        NotImplementedError: a policy uses what this does not know.
    """
    labels = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in namespaces}
    living = [
        pod
        for pod in pods
        if pod["status"].get("podIP")
        and not pod["spec"].get("hostNetwork")
        and pod["status"]["phase"] not in {"Succeeded", "Failed"}
    ]
    chains: list[str] = []
    lines = ["-A POLICIES -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"]
    for number, pod in enumerate(sorted(living, key=lambda each: str(each["status"]["podIP"]))):
        address = pod["status"]["podIP"]
        for way, flag, peers in (("Egress", "-s", "to"), ("Ingress", "-d", "from")):
            mine = [each for each in policies if _selects(each, pod) and way in _ways(each)]
            if not mine:
                continue
            chain = f"{way.upper()}-{number}"
            chains.append(chain)
            lines.append(f"-A POLICIES {flag} {address} -j {chain}")
            for policy in mine:
                for rule in policy["spec"].get(way.lower()) or []:
                    ends = _ends(rule.get(peers) or [], way, policy, living, labels)
                    lines += [
                        f"-A {chain} {end} {port} -j RETURN"
                        for end in ends
                        for port in _ports(rule.get("ports") or [])
                    ]
            lines.append(f"-A {chain} -j DROP")
    heads = [f":{chain} - [0:0]" for chain in ("POLICIES", *chains)]
    return "\n".join(["*filter", *heads, *lines, "COMMIT", ""])


def _ends(
    peers: list[Object], way: str, policy: Object, pods: list[Object], labels: dict[str, Object]
) -> list[str]:
    """The other ends a rule allows, as matches of iptables; no peers are all of them."""
    if not peers:
        return [""]
    flag = "-d" if way == "Egress" else "-s"
    found = []
    for peer in peers:
        if block := peer.get("ipBlock"):
            if block.get("except"):
                raise NotImplementedError("ipBlock.except")
            network = ipaddress.ip_network(block["cidr"])
            # A server of the node is reached by an address that was translated on the way.
            found += [f"{flag} {network}"]
            found += [f"-m conntrack --ctorigdst {network}"] if way == "Egress" else []
            continue
        for pod in pods:
            here = pod["metadata"]["namespace"]
            spaces = peer.get("namespaceSelector")
            right = (
                here == policy["metadata"]["namespace"]
                if spaces is None
                else _matches(spaces, labels[here])
            )
            if right and _matches(peer.get("podSelector") or {}, pod["metadata"].get("labels", {})):
                found.append(f"{flag} {pod['status']['podIP']}")
    return found


def _ports(ports: list[Object]) -> list[str]:
    if any(isinstance(each.get("port"), str) or each.get("endPort") for each in ports):
        raise NotImplementedError("ports by name or range")
    return [
        f"-p {each.get('protocol', 'TCP').lower()}"
        + (f" --dport {each['port']}" if each.get("port") else "")
        for each in ports
    ] or [""]


def _selects(policy: Object, pod: Object) -> bool:
    same = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and _matches(policy["spec"]["podSelector"], pod["metadata"].get("labels", {}))


def _ways(policy: Object) -> list[str]:
    return list(policy["spec"].get("policyTypes") or ["Ingress"])


def _matches(selector: Object, labels: Object) -> bool:
    for each in selector.get("matchExpressions") or []:
        key, operator = each["key"], each["operator"]
        if operator not in {"Exists", "In"}:
            raise NotImplementedError(f"matchExpressions with {operator}")
        if key not in labels or (operator == "In" and labels[key] not in each["values"]):
            return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())

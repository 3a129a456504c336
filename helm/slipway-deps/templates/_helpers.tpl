{{/* Names, images, what every pod has in common, and what is refused before anything is made. */}}
{{- define "deps.fullname" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}

{{/* dict "root" $ "part" "postgres" */}}
{{- define "deps.selector" -}}
app.kubernetes.io/name: slipway-deps
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}
{{- define "deps.labels" -}}
{{ include "deps.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "deps.image" -}}
{{- $image := (index .root.Values .part).image -}}
{{- $registry := required "image.registry is empty: set it to the registry that holds copies of the images, such as registry.example.com/team" .root.Values.image.registry -}}
{{- if $image.digest -}}
{{ $registry }}/{{ $image.repository }}@{{ $image.digest }}
{{- else if .root.Values.image.requireDigests -}}
{{- fail (printf "%s.image.digest is empty, and image.requireDigests is on: set it to the sha256:… that your registry shows for %s/%s" .part $registry $image.repository) -}}
{{- else -}}
{{ $registry }}/{{ $image.repository }}:{{ required (printf "%s.image.tag and digest are empty: set one of them" .part) $image.tag }}
{{- end -}}
{{- end -}}

{{/* Name of the Secret of a part: the user's own, or the one that is made. */}}
{{- define "deps.secret" -}}
{{- $part := index .root.Values .part -}}
{{- $part.secret | default (printf "%s-%s" (include "deps.fullname" .root) .part) -}}
{{- end -}}

{{- define "deps.port" -}}
{{- get (dict "postgres" 5432 "valkey" 6379 "objects" 8333 "mlflow" 5000 "kueue" 9443) . -}}
{{- end -}}

{{/* A variable that is read from a Secret: dict "root" $ "part" "postgres" "name" "PGPASSWORD" "key" "password" */}}
{{- define "deps.variable" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ include "deps.secret" . | quote }}, key: {{ .key }}}}
{{- end -}}

{{/* Configuration of Kueue: it queues Ray's work, and lets all other jobs of the cluster alone. */}}
{{- define "deps.kueue" -}}
apiVersion: config.kueue.x-k8s.io/v1beta1
kind: Configuration
namespace: {{ .Release.Namespace }}
health: {healthProbeBindAddress: ":8081"}
metrics: {bindAddress: "0"}
webhook: {port: {{ include "deps.port" "kueue" }}, certDir: /certificates}
leaderElection: {leaderElect: true, resourceName: {{ include "deps.fullname" . }}-kueue, resourceNamespace: {{ .Release.Namespace }}}
internalCertManagement:
  enable: true
  webhookServiceName: {{ include "deps.fullname" . }}-kueue
  webhookSecretName: {{ include "deps.fullname" . }}-kueue
clientConnection: {qps: 50, burst: 100}
integrations: {frameworks: [ray.io/rayjob, ray.io/raycluster]}
{{- end -}}

{{/* Refuses to install over definitions that are not of this release: dict "root" $ "part" "kuberay" "called" "KubeRay" */}}
{{- define "deps.alone" -}}
{{- $release := .root.Release -}}
{{- $foreign := list -}}
{{- $whose := "was not made by Helm" -}}
{{- range $path, $_ := .root.Files.Glob (printf "files/%s/definitions/*.json" .part) -}}
{{- $definition := base $path | trimSuffix ".json" -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $definition -}}
{{- $notes := .metadata.annotations | default dict -}}
{{- $owner := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") (get $notes "meta.helm.sh/release-name") -}}
{{- if ne $owner (printf "%s/%s" $release.Namespace $release.Name) -}}
{{- if and (not $foreign) (ne $owner "/") -}}
{{- $whose = printf "belongs to the release %s" $owner -}}
{{- end -}}
{{- $foreign = append $foreign $definition -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $foreign -}}
{{- $all := join " " $foreign -}}
{{- fail (printf "%s.mode is install, but this cluster has %s already: the definition %s %s; set %s.mode to existing, or, if that %s is gone for good, give what it left to this release: kubectl annotate --overwrite crd %s meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s && kubectl label --overwrite crd %s app.kubernetes.io/managed-by=Helm" .part .called (first $foreign) $whose .part .called $all $release.Name $release.Namespace $all) -}}
{{- end -}}
{{- end -}}

{{/* What is on a real cluster can be looked at; `helm template` has none, and finds no namespace. */}}
{{- define "deps.checks" -}}
{{- $real := lookup "v1" "Namespace" "" "kube-system" -}}
{{- if and $real (eq .Values.kuberay.mode "existing") (not (.Capabilities.APIVersions.Has "ray.io/v1/RayJob")) -}}
{{- fail "kuberay.mode is existing, but this cluster does not know RayJob (ray.io/v1): set kuberay.mode to install, or to off" -}}
{{- end -}}
{{- if and $real (eq .Values.kueue.mode "existing") (not (.Capabilities.APIVersions.Has "kueue.x-k8s.io/v1beta1/LocalQueue")) -}}
{{- fail "kueue.mode is existing, but this cluster does not know LocalQueue (kueue.x-k8s.io/v1beta1): set kueue.mode to install, or to off" -}}
{{- end -}}
{{- range $part, $called := dict "kuberay" "KubeRay" "kueue" "Kueue" -}}
{{- if eq (index $.Values $part).mode "install" -}}
{{- include "deps.alone" (dict "root" $ "part" $part "called" $called) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.mlflow.mode "install") (ne .Values.postgres.mode "install") -}}
{{- fail (printf "mlflow.mode is install, and postgres.mode is %s: MLflow is installed over the installed PostgreSQL only; set postgres.mode to install, or mlflow.mode to existing with mlflow.url" .Values.postgres.mode) -}}
{{- end -}}
{{- if eq .Values.mlflow.mode "existing" -}}
{{- $_ := required "mlflow.mode is existing, and mlflow.url is empty: set it to the address of your MLflow server, such as http://mlflow.mlflow:5000" .Values.mlflow.url -}}
{{- else if .Values.mlflow.url -}}
{{- fail (printf "mlflow.url is %q, and mlflow.mode is %s: set mlflow.mode to existing, or leave mlflow.url empty" .Values.mlflow.url .Values.mlflow.mode) -}}
{{- end -}}
{{- if eq .Values.objects.mode "existing" -}}
{{- $_ := required "objects.mode is existing, and objects.secret is empty: make a Secret with SLIPWAY_OBJECTS_URL (s3://key:secret@host:port/bucket), and name it there" .Values.objects.secret -}}
{{- end -}}
{{- end -}}

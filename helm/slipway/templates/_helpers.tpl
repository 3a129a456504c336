{{/* Names, images, and what every pod has in common. */}}
{{- define "slipway.fullname" -}}
{{- if contains "slipway" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-slipway" .Release.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{/* dict "root" $ "part" "web" */}}
{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}
{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* dict "root" $ "image" "controlPlane" */}}
{{- define "slipway.image" -}}
{{- $image := index .root.Values.image .image -}}
{{- $registry := required "image.registry is empty: set it to the registry that holds Slipway's images, such as registry.example.com/team" .root.Values.image.registry -}}
{{- if $image.digest -}}
{{ $registry }}/{{ $image.repository }}@{{ $image.digest }}
{{- else if .root.Values.image.requireDigests -}}
{{- fail (printf "image.%s.digest is empty, and image.requireDigests is on: set it to the sha256:… that your registry shows for %s/%s" .image $registry $image.repository) -}}
{{- else -}}
{{ $registry }}/{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
{{- define "slipway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Secrets are refused by name before anything is made, not by pods that cannot start. */}}
{{- define "slipway.secret" -}}
{{- required "secrets.controlPlane is empty: make a Secret with SLIPWAY_SECRET_KEY, SLIPWAY_DATABASE_URL, SLIPWAY_BROKER_URL and SLIPWAY_ADMIN_PASSWORD, and name it there" .Values.secrets.controlPlane -}}
{{- end -}}
{{- define "slipway.objects" -}}
{{- required "secrets.objects is empty: make a Secret with SLIPWAY_OBJECTS_URL (s3://key:secret@host:port/bucket), and name it there" .Values.secrets.objects -}}
{{- end -}}
{{- define "slipway.url" -}}
{{- $url := required "url is empty: set it to the address people will use, such as https://slipway.example.com" .Values.url -}}
{{- if not (regexMatch "^https?://[^/]+$" $url) -}}{{- fail (printf "url is %q: it must be http:// or https:// and a host, with no path" $url) -}}{{- end -}}
{{- $url -}}
{{- end -}}

{{/* Environment of web, gateway, worker and the jobs. */}}
{{/* Name of the role that Kueue's queues are made by, and belong to */}}
{{- define "slipway.queues" -}}
{{ printf "%s-%s-queues" .Release.Namespace (include "slipway.fullname" .) }}
{{- end -}}

{{- define "slipway.environment" -}}
{{- $values := dict
  "DJANGO_SETTINGS_MODULE" "slipway.settings"
  "SLIPWAY_COMPUTE" "kubernetes"
  "SLIPWAY_NAMESPACE" .Release.Namespace
  "SLIPWAY_URL" (include "slipway.url" .)
  "SLIPWAY_ALLOWED_HOSTS" (printf "%s,localhost,%s-web,%s-gateway" (regexReplaceAll "^https?://([^:/]+).*$" (include "slipway.url" .) "${1}") (include "slipway.fullname" .) (include "slipway.fullname" .))
  "SLIPWAY_MLFLOW_URI" (required "mlflowUrl is empty: set it to the address of an MLflow server, such as http://mlflow:5000" .Values.mlflowUrl)
  "SLIPWAY_CURRENCY" .Values.currency
  "SLIPWAY_HOME" "/var/lib/slipway"
  "SLIPWAY_RUN_DIR" "/tmp/run"
  "HOME" "/tmp"
  "TMPDIR" "/tmp"
  "HF_HUB_OFFLINE" "1"
-}}
{{- if .Values.workloads.pools }}
{{- $_ := set $values "SLIPWAY_QUEUES" "kueue" }}
{{- $_ := set $values "SLIPWAY_QUEUES_OWNER" (include "slipway.queues" .) }}
{{- $_ := set $values "SLIPWAY_GPU_RESOURCE" .Values.workloads.gpuResource }}
{{- end }}
{{- if .Values.caBundle }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" }}{{- $_ := set $values . "/etc/slipway/ca/ca.crt" }}{{- end }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.environment) $values }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range list "SLIPWAY_SECRET_KEY" "SLIPWAY_DATABASE_URL" "SLIPWAY_BROKER_URL" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ include "slipway.secret" $ | quote }}, key: {{ . }}}}
{{- end }}
- name: SLIPWAY_OBJECTS_URL
  valueFrom: {secretKeyRef: {name: {{ include "slipway.objects" . | quote }}, key: SLIPWAY_OBJECTS_URL}}
{{- end -}}

{{- define "slipway.mounts" -}}
- {name: home, mountPath: /var/lib/slipway}
- {name: tmp, mountPath: /tmp}
{{- if .Values.caBundle }}
- {name: ca, mountPath: /etc/slipway/ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* dict "root" $ "size" "1Gi" */}}
{{- define "slipway.volumes" -}}
- {name: home, emptyDir: {sizeLimit: {{ .size }}}}
- {name: tmp, emptyDir: {sizeLimit: 2Gi}}
{{- if .root.Values.caBundle }}
- {name: ca, configMap: {name: {{ .root.Values.caBundle | quote }}}}
{{- end }}
{{- end -}}

{{/* dict "root" $ "name" "web" "image" "controlPlane": a container but for command, environment and probes */}}
{{- define "slipway.container" -}}
name: {{ .name }}
image: {{ include "slipway.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "slipway.containerSecurity" . | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* dict "root" $ "part" "web" "account" "control-plane": what every pod's spec begins with */}}
{{- define "slipway.pod" -}}
serviceAccountName: {{ include "slipway.fullname" .root }}-{{ .account }}
automountServiceAccountToken: {{ has .part (list "web" "worker" "operator") }}
enableServiceLinks: false
priorityClassName: {{ include "slipway.fullname" .root }}-{{ .root.Release.Namespace }}-control-plane
securityContext:
  {{- include "slipway.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* dict "root" $ "part" "web": copies on different nodes and zones where there are several */}}
{{- define "slipway.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "slipway.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* Pods of the control plane wait here until the database is as this version needs it. */}}
{{- define "slipway.waitForMigrations" -}}
- {{- include "slipway.container" (dict "root" . "name" "wait-for-migrations" "image" "controlPlane") | nindent 2 }}
  command: [python, -m, slipway.cli.prepare, --wait]
  env:
    {{- include "slipway.environment" . | nindent 4 }}
  resources:
    requests: {cpu: 50m, memory: 256Mi}
    limits: {memory: 512Mi}
  volumeMounts:
    {{- include "slipway.mounts" . | nindent 4 }}
{{- end -}}

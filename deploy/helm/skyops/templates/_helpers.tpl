{{- define "skyops.labels" -}}
app.kubernetes.io/name: skyops
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Of one component: (list . "service"). */}}
{{- define "skyops.selector" -}}
app.kubernetes.io/name: skyops
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Services' names do not begin with the release's: Kubernetes gives pods variables named after each
Service, and SKYOPS_SERVICE_PORT is a setting. */}}
{{- define "skyops.serviceHost" -}}service-{{ .Release.Name }}{{- end }}
{{- define "skyops.docsHost" -}}docs-{{ .Release.Name }}{{- end }}

{{- define "skyops.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "skyops.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "skyops.databaseUrl" -}}
{{- with .Values.database -}}
postgresql://{{ .user }}@{{ .host }}:{{ .port }}/{{ index . $.database }}{{ with .options }}?{{ . }}{{ end }}
{{- end -}}
{{- end }}

{{/* Variables of all pods, those of Dagster's chart and of runs too. */}}
{{- define "skyops.variables" -}}
HOME: /tmp
SKYOPS_HOME: /var/lib/skyops
SKYOPS_DATABASE_URL: {{ include "skyops.databaseUrl" (dict "Values" .Values "database" "name") | quote }}
SKYOPS_DAGSTER_DATABASE: {{ .Values.database.dagster | quote }}
SKYOPS_WAIT_FOR_WAREHOUSE_S: "120"
SKYOPS_LAUNCHER: kubernetes
SKYOPS_STORE: {{ .Values.store | quote }}
SKYOPS_UI_URL: {{ .Values.dagster.uiUrl | quote }}
SKYOPS_SERVICE_URL: http://{{ include "skyops.serviceHost" . }}:8000
SKYOPS_SERVICE_PORT: "8000"
SKYOPS_DOCS_PORT: "3001"
{{- if .Values.ingress.enabled }}
SKYOPS_PUBLIC_URL: https://{{ .Values.ingress.host }}
{{- with .Values.ingress.docs.host }}
SKYOPS_DOCS_URL: https://{{ . }}
{{- end }}
{{- end }}
SKYOPS_POSTGRES_PASSWORD_FILE: /run/secrets/skyops/postgresql-password
{{- range .Values.secrets.keys }}
SKYOPS_{{ upper . }}_FILE: /run/secrets/skyops/{{ . }}
{{- end }}
{{- range $name, $value := merge (dict) .Values.settings .Values.environment }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "skyops.env" -}}
{{- range $name, $value := include "skyops.variables" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What each container of SkyOps' has, beside its command, probes and resources. */}}
{{- define "skyops.container" -}}
image: {{ include "skyops.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "skyops.containerSecurity" . | nindent 2 }}
env:
  {{- include "skyops.env" . | nindent 2 }}
{{- with .Values.secrets.environment }}
envFrom:
  - secretRef: {name: {{ . }}, optional: true}
{{- end }}
volumeMounts:
  {{- include "skyops.mounts" . | nindent 2 }}
{{- end }}

{{- define "skyops.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "skyops.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "skyops.mounts" -}}
- {name: home, mountPath: /var/lib/skyops}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /run/secrets/skyops, readOnly: true}
{{- end }}

{{- define "skyops.sharedVolumes" -}}
- {name: tmp, emptyDir: {}}
- {name: secrets, secret: {secretName: {{ .Values.secrets.name }}, defaultMode: 0440}}
{{- end }}

{{- define "skyops.volumes" -}}
- {name: home, emptyDir: {}}
{{ include "skyops.sharedVolumes" . }}
{{- end }}

{{/* What each pod has, beside containers and volumes: (list . .Values.lane). */}}
{{- define "skyops.pod" -}}
{{- $ := index . 0 -}}
automountServiceAccountToken: false
# Variables named after Services would be taken for settings.
enableServiceLinks: false
securityContext:
  {{- include "skyops.podSecurity" $ | nindent 2 }}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 1).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 1).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Its file has the time when it last showed that it works; a pass takes seconds. */}}
{{- define "skyops.alive" -}}
exec:
  command: [sh, -c, 'test -n "$(find /var/lib/skyops/alive/{{ . }} -mmin -15)"']
timeoutSeconds: 10
periodSeconds: 60
{{- end }}

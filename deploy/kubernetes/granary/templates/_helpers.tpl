{{- define "granary.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains "granary" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-granary" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "granary.selector" -}}
app.kubernetes.io/name: granary
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "granary.labels" -}}
{{ include "granary.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "granary.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* What would run, and be wrong. */ -}}
{{- define "granary.refuse" -}}
{{- $shared := 0 -}}
{{- if (.Values.config.backing_cache).target -}}
{{- $shared = 1 -}}
{{- end -}}
{{- range .Values.config.tiers -}}
{{- if eq (.mode | default "read-through") "write-through" -}}
{{- $shared = 1 -}}
{{- end -}}
{{- if and (eq .mode "write-behind") (eq $.Values.kind "Deployment") -}}
{{- fail "config.tiers: write-behind keeps what is still to be written in the store, which a Deployment loses with each pod; use write-through, or kind: StatefulSet" -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.kind "Deployment") (eq $shared 0) -}}
{{- fail "kind: Deployment needs config.tiers with one of mode write-through: the servers keep nothing themselves" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (eq $shared 0) -}}
{{- fail "replicas: more than one server needs config.tiers with one of mode write-through, or clients miss with one what they gave to another" -}}
{{- end -}}
{{- if and (.Values.config.nuget).hosted (or (eq .Values.kind "Deployment") (gt (int .Values.replicas) 1)) -}}
{{- fail "config.nuget.hosted keeps what is pushed in the store of the server that takes it: use one server with a volume (kind: StatefulSet, replicas: 1)" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (ne .Values.kind "Deployment") -}}
{{- fail "autoscaling.enabled needs kind: Deployment: servers with volumes would come up empty and leave their volumes behind" -}}
{{- end -}}
{{- if has (((.Values.config).tls).client_auth | default "none") (list "require" "require_and_verify") -}}
{{- fail "config.tls.client_auth: probes show no certificate and would be refused; use verify_if_given, and config.auth.anonymous: none" -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled (not .Values.monitoring.serviceMonitor.tokenSecret.name) -}}
{{- fail "monitoring.serviceMonitor.tokenSecret.name: the admin port answers only to a token whose right is admin" -}}
{{- end -}}
{{- end -}}

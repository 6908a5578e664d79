{{- define "granary.pod" -}}
metadata:
  labels:
    {{- include "granary.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration makes other pods.
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "granary.fullname" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.shutdown.preStopSeconds .Values.shutdown.graceSeconds 15 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpread }}
  topologySpreadConstraints:
    - topologyKey: kubernetes.io/hostname
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "granary.selector" . | nindent 10 }}
    - topologyKey: topology.kubernetes.io/zone
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "granary.selector" . | nindent 10 }}
  {{- end }}
  containers:
    - name: granary
      image: {{ include "granary.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      env:
        - { name: GRANARY_CONFIG, value: /etc/granary/config/granary.yaml }
        - { name: GRANARY_LISTEN_GRPC, value: '0.0.0.0:9092' }
        - { name: GRANARY_LISTEN_HTTP, value: '0.0.0.0:8080' }
        - { name: GRANARY_LISTEN_ADMIN, value: '0.0.0.0:9090' }
        - { name: GRANARY_STORAGE_DIR, value: /var/lib/granary/store }
        - { name: GRANARY_SHUTDOWN_GRACE, value: '{{ .Values.shutdown.graceSeconds }}s' }
        {{- if .Values.auth.tokensSecret.name }}
        - { name: GRANARY_AUTH_TOKENS_FILE, value: '/etc/granary/tokens/{{ .Values.auth.tokensSecret.key }}' }
        {{- end }}
        {{- if .Values.auth.htpasswdSecret.name }}
        - { name: GRANARY_AUTH_HTPASSWD_FILE, value: '/etc/granary/htpasswd/{{ .Values.auth.htpasswdSecret.key }}' }
        {{- end }}
        {{- if .Values.tls.secretName }}
        - { name: GRANARY_TLS_CERT_FILE, value: /etc/granary/tls/tls.crt }
        - { name: GRANARY_TLS_KEY_FILE, value: /etc/granary/tls/tls.key }
        {{- if .Values.tls.clientCa }}
        - { name: GRANARY_TLS_CA_FILE, value: /etc/granary/tls/ca.crt }
        {{- end }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: grpc, containerPort: 9092 }
        - { name: http, containerPort: 8080 }
        - { name: admin, containerPort: 9090 }
      # Opening a large store takes seconds; until then neither of the others asks.
      startupProbe:
        {{- if .Values.tls.secretName }}
        # Probes by gRPC speak no TLS.
        httpGet: { path: /healthz, port: admin, scheme: HTTPS }
        {{- else }}
        # The service that needs no store: starting again would not mend a disk that is full.
        grpc: { port: 9092, service: build.bazel.remote.execution.v2.Capabilities }
        {{- end }}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 90
      livenessProbe:
        httpGet: { path: /healthz, port: admin, scheme: {{ if .Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end }} }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: admin, scheme: {{ if .Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end }} }
        periodSeconds: 5
        # A check that hangs says so after 5 s.
        timeoutSeconds: 6
      lifecycle:
        preStop:
          exec:
            command: [node, -e, 'setTimeout(() => {}, {{ .Values.shutdown.preStopSeconds }}000)']
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - { name: store, mountPath: /var/lib/granary }
        - { name: config, mountPath: /etc/granary/config, readOnly: true }
        - { name: tmp, mountPath: /tmp }
        {{- if .Values.auth.tokensSecret.name }}
        - { name: tokens, mountPath: /etc/granary/tokens, readOnly: true }
        {{- end }}
        {{- if .Values.auth.htpasswdSecret.name }}
        - { name: htpasswd, mountPath: /etc/granary/htpasswd, readOnly: true }
        {{- end }}
        {{- if .Values.tls.secretName }}
        - { name: tls, mountPath: /etc/granary/tls, readOnly: true }
        {{- end }}
        {{- range .Values.secrets }}
        - { name: 'secret-{{ .name }}', mountPath: '/etc/granary/secrets/{{ .name }}', readOnly: true }
        {{- end }}
  volumes:
    {{- if eq .Values.kind "Deployment" }}
    - name: store
      emptyDir: { sizeLimit: {{ .Values.storage.size }} }
    {{- end }}
    - name: config
      configMap: { name: {{ include "granary.fullname" . }} }
    # Packages of NuGet that are only to be had whole, or find no room in the store.
    - name: tmp
      emptyDir: { sizeLimit: 16Gi }
    {{- if .Values.auth.tokensSecret.name }}
    - name: tokens
      secret: { secretName: {{ .Values.auth.tokensSecret.name }}, defaultMode: 0440 }
    {{- end }}
    {{- if .Values.auth.htpasswdSecret.name }}
    - name: htpasswd
      secret: { secretName: {{ .Values.auth.htpasswdSecret.name }}, defaultMode: 0440 }
    {{- end }}
    {{- if .Values.tls.secretName }}
    - name: tls
      secret: { secretName: {{ .Values.tls.secretName }}, defaultMode: 0440 }
    {{- end }}
    {{- range .Values.secrets }}
    - name: secret-{{ .name }}
      secret: { secretName: {{ .name }}, defaultMode: 0440 }
    {{- end }}
{{- end -}}

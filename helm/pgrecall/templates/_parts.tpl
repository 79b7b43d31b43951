{{/* The parts of the release, their addresses, and the programs' configuration. */}}

{{/* `true` if the chart deploys Ollama. */}}
{{- define "pgrecall.ollama" -}}
{{- and .Values.ollama.enabled (eq .Values.embedding.provider "ollama") (not .Values.embedding.ollama.url) -}}
{{- end -}}

{{/* `true` if the chart deploys text-embeddings-inference. */}}
{{- define "pgrecall.tei" -}}
{{- and .Values.tei.enabled (eq .Values.embedding.provider "tei") (not .Values.embedding.tei.url) -}}
{{- end -}}

{{- define "pgrecall.ollamaAddress" -}}
{{- printf "http://%s-ollama.%s.svc:11434" (include "pgrecall.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* The name of the Secret with the connection string. */}}
{{- define "pgrecall.databaseSecret" -}}
{{- if .Values.postgresql.external.existingSecret -}}
{{- .Values.postgresql.external.existingSecret -}}
{{- else if .Values.postgresql.cloudnativepg.enabled -}}
{{- printf "%s-postgres-app" (include "pgrecall.fullname" .) -}}
{{- else -}}
{{- default (printf "%s-database" (include "pgrecall.fullname" .)) .Values.postgresql.auth.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* `true` if connections to the chart's Postgres are encrypted. */}}
{{- define "pgrecall.databaseTls" -}}
{{- and .Values.postgresql.enabled .Values.postgresql.tls.enabled -}}
{{- end -}}

{{/* The name of the Secret with the certificates of the chart's Postgres. */}}
{{- define "pgrecall.databaseTlsSecret" -}}
{{- default (printf "%s-database-tls" (include "pgrecall.fullname" .)) .Values.postgresql.tls.existingSecret -}}
{{- end -}}

{{- define "pgrecall.ollamaSecret" -}}
{{- default (printf "%s-ollama" (include "pgrecall.fullname" .)) .Values.ollama.authProxy.existingSecret -}}
{{- end -}}

{{/* The environment variables that the configuration uses. */}}
{{- define "pgrecall.environment" -}}
{{- $pg := .Values.postgresql -}}
{{- $dsn := ternary $pg.external.dsnKey (ternary "uri" $pg.auth.dsnKey $pg.cloudnativepg.enabled) (not (empty $pg.external.existingSecret)) -}}
- name: PGRECALL_CONFIG
  value: /etc/pgrecall/pgrecall.yaml
- name: PGRECALL_HOME
  value: /tmp/pgrecall
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "pgrecall.databaseSecret" . | quote }}
      key: {{ $dsn | quote }}
- name: SESSION_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "pgrecall.databaseSecret" . | quote }}
      key: {{ ternary (default $dsn $pg.external.sessionDsnKey) $dsn (not (empty $pg.external.existingSecret)) | quote }}
{{- if and (eq .Values.embedding.provider "openai") .Values.embedding.openai.existingSecret }}
- name: OPENAI_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.embedding.openai.existingSecret | quote }}
      key: {{ .Values.embedding.openai.secretKey | quote }}
{{- end }}
{{- if and (eq (include "pgrecall.ollama" .) "true") .Values.ollama.authProxy.enabled }}
- name: OLLAMA_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "pgrecall.ollamaSecret" . | quote }}
      key: {{ .Values.ollama.authProxy.secretKey | quote }}
{{- end }}
{{- end -}}

{{/* The mounts of both programs' containers, and below them their volumes. */}}
{{- define "pgrecall.mounts" -}}
- name: config
  mountPath: /etc/pgrecall
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if eq (include "pgrecall.databaseTls" .) "true" }}
- name: database-ca
  mountPath: /etc/pgrecall-database
  readOnly: true
{{- end }}
{{- end -}}

{{- define "pgrecall.volumes" -}}
- name: config
  configMap:
    name: {{ include "pgrecall.fullname" . | quote }}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- if eq (include "pgrecall.databaseTls" .) "true" }}
- name: database-ca
  secret:
    secretName: {{ include "pgrecall.databaseTlsSecret" . | quote }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end -}}

{{/* The mount of the volume for the spill file of the audit log. The program creates a folder for the file on the volume, because it must own that folder. */}}
{{- define "pgrecall.auditMount" -}}
name: audit
mountPath: /var/lib/pgrecall-audit
{{- end -}}

{{/* The programs' configuration. */}}
{{- define "pgrecall.config" -}}
{{- $v := .Values -}}
{{- $name := include "pgrecall.fullname" . -}}
{{- $embedding := dict "provider" $v.embedding.provider "timeout" $v.embedding.timeout -}}
{{- if eq $v.embedding.provider "ollama" -}}
{{- $headers := deepCopy $v.embedding.ollama.headers -}}
{{- if and (eq (include "pgrecall.ollama" .) "true") $v.ollama.authProxy.enabled -}}
{{- $headers = merge $headers (dict "Authorization" "Bearer ${OLLAMA_API_KEY}") -}}
{{- end -}}
{{- $url := default (include "pgrecall.ollamaAddress" .) $v.embedding.ollama.url -}}
{{- $_ := set $embedding "ollama" (dict "url" $url "model" $v.embedding.ollama.model) -}}
{{- if $headers }}{{ $_ := set $embedding.ollama "headers" $headers }}{{ end -}}
{{- else if eq $v.embedding.provider "openai" -}}
{{- $_ := set $embedding "openai" (dict "url" $v.embedding.openai.url "model" $v.embedding.openai.model) -}}
{{- if $v.embedding.openai.existingSecret }}{{ $_ := set $embedding.openai "api_key" "${OPENAI_API_KEY}" }}{{ end -}}
{{- if $v.embedding.openai.headers }}{{ $_ := set $embedding.openai "headers" $v.embedding.openai.headers }}{{ end -}}
{{- else if eq $v.embedding.provider "tei" -}}
{{- $_ := set $embedding "tei" (dict "url" (default (printf "http://%s-tei.%s.svc:8080" $name .Release.Namespace) $v.embedding.tei.url)) -}}
{{- end -}}
{{- $j := $v.embedJobs -}}
{{- $jobs := dict "workers" (int $j.workers) "embed_timeout" $j.embedTimeout "lease_duration" $j.leaseDuration "batch_size" (int $j.batchSize) "retention_days" (int $j.retentionDays) "address" "0.0.0.0:9091" -}}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) "localhost" "127.0.0.1" -}}
{{- $hosts = concat $hosts $v.service.hosts -}}
{{- if $v.ingress.enabled }}{{ $hosts = append $hosts $v.ingress.host }}{{ end -}}
{{- $server := dict "transport" "http" "address" "0.0.0.0:8080" "metrics_address" "0.0.0.0:9090" "anonymous" $v.auth.anonymous "allowed_hosts" $hosts "shutdown_delay" (printf "%ds" (int $v.platform.shutdownDelaySeconds)) "drain" (printf "%ds" (int $v.platform.drainSeconds)) -}}
{{- if $v.ingress.enabled }}{{ $_ := set $server "public_url" (printf "%s://%s" (ternary "https" "http" (not (empty $v.ingress.tlsSecret))) $v.ingress.host) }}{{ end -}}
{{- if and $v.ingress.enabled $v.ingress.trustedProxies }}{{ $_ := set $server "trusted_proxies" $v.ingress.trustedProxies }}{{ end -}}
{{- if $v.auth.oauth.issuer -}}
{{- $oauth := dict "issuer" $v.auth.oauth.issuer -}}
{{- if $v.auth.oauth.audience }}{{ $_ := set $oauth "audience" $v.auth.oauth.audience }}{{ end -}}
{{- $_ := set $server "oauth" $oauth -}}
{{- end -}}
{{- $config := dict "database" (dict "dsn" "${DATABASE_URL}" "session_dsn" "${SESSION_DATABASE_URL}") "memory" (dict "embedding" $embedding) "apigateway" (dict "embed_jobs" $jobs) "server" $server "audit" (dict "spill" "/var/lib/pgrecall-audit/spill") -}}
{{- if $v.traces.endpoint }}{{ $_ := set $config "traces" (dict "endpoint" $v.traces.endpoint) }}{{ end -}}
{{- toYaml (mergeOverwrite $config (deepCopy $v.config)) -}}
{{- end -}}

{{/* The port of a URL. */}}
{{- define "pgrecall.port" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{/* The port of an embedder outside the chart, from its URL. */}}
{{- define "pgrecall.embedderPort" -}}
{{- include "pgrecall.port" (get (get .Values.embedding .Values.embedding.provider) "url") -}}
{{- end -}}

{{/* The containers of both programs; the sidecar of the platform's pod and the pods of workers alone are the same. */}}

{{/* (dict "root" $ "resources" RESOURCES) */}}
{{- define "pgrecall.workerContainer" -}}
{{- $v := .root.Values -}}
name: embed-worker
image: {{ include "pgrecall.image" (dict "root" .root "image" $v.platform.worker.image) | quote }}
imagePullPolicy: {{ $v.platform.worker.image.pullPolicy }}
env:
  {{- include "pgrecall.environment" .root | nindent 2 }}
  {{- with $v.platform.worker.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - { name: worker, containerPort: 9091 }
{{- /* The process only: neither the database nor the embedder, or a worker that waits for them would be started again and again, and take the
      pod out of service with it. */}}
startupProbe:
  httpGet: { path: /healthz, port: worker }
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /healthz, port: worker }
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: { path: /healthz, port: worker }
  periodSeconds: 10
  timeoutSeconds: 5
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- include "pgrecall.containerSecurity" .root | nindent 2 }}
volumeMounts:
  {{- include "pgrecall.mounts" .root | nindent 2 }}
{{- end -}}

{{/* Brings the schema up to date before anything runs. Any number of pods may do it at once: one does, the others wait. */}}
{{- define "pgrecall.migrateContainer" -}}
{{- $v := .Values -}}
name: migrate
image: {{ include "pgrecall.image" (dict "root" . "image" $v.platform.server.image) | quote }}
imagePullPolicy: {{ $v.platform.server.image.pullPolicy }}
args: ["migrate"]
env:
  {{- include "pgrecall.environment" . | nindent 2 }}
  {{- with $v.platform.server.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $v.platform.server.resources | nindent 2 }}
securityContext:
  {{- include "pgrecall.containerSecurity" . | nindent 2 }}
volumeMounts:
  {{- include "pgrecall.mounts" . | nindent 2 }}
{{- end -}}

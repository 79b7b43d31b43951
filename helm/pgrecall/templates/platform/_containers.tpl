{{/* The containers of both programs. The sidecar of the platform's pod and the container of a separate worker are the same. */}}

{{/* The worker: (dict "root" $ "resources" RESOURCES). */}}
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
{{- /* The probes check only the process. If they checked the database or the embedder, the kubelet would restart a worker that waits for them, and a
      sidecar that waits would take its pod out of service. */}}
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

{{/* Migrates the schema before the programs start. If several pods do so at the same time, one migrates and the others wait. */}}
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

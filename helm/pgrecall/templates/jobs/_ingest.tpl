{{/* The pod that ingests a volume of documents. */}}
{{- define "pgrecall.ingestPod" -}}
{{- $v := .Values -}}
metadata:
  labels:
    {{- include "pgrecall.podLabels" (dict "root" $ "component" "ingest") | nindent 4 }}
spec:
  {{- include "pgrecall.pod" (dict "root" $ "user" 65532) | nindent 2 }}
  restartPolicy: OnFailure
  initContainers:
    - {{- include "pgrecall.migrateContainer" . | nindent 6 }}
  containers:
    - name: ingest
      image: {{ include "pgrecall.image" (dict "root" $ "image" $v.platform.server.image) | quote }}
      imagePullPolicy: {{ $v.platform.server.image.pullPolicy }}
      # The workers embed the stored documents, so the Job does not wait for the embeddings.
      args:
        - ingest
        - {{ printf "/documents/%s" (trimPrefix "/" $v.ingest.path) | quote }}
        - --no-wait
        {{- with $v.ingest.collection }}
        - --collection
        - {{ . | quote }}
        {{- end }}
      env:
        {{- include "pgrecall.environment" . | nindent 8 }}
        {{- with $v.platform.server.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      resources:
        {{- toYaml $v.platform.server.resources | nindent 8 }}
      securityContext:
        {{- include "pgrecall.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "pgrecall.mounts" . | nindent 8 }}
        - {{- include "pgrecall.auditMount" . | nindent 10 }}
        - { name: documents, mountPath: /documents, readOnly: true }
  volumes:
    {{- include "pgrecall.volumes" . | nindent 4 }}
    # Not `audit.volume`, because its claim may be attached to another node.
    - { name: audit, emptyDir: {} }
    - name: documents
      persistentVolumeClaim: { claimName: {{ $v.ingest.existingClaim | quote }}, readOnly: true }
{{- end -}}

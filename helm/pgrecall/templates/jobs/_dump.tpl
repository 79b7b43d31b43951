{{/* A pod with pg_dump, pg_restore and psql, and with the volume of the dumps: (dict "root" $ "component" NAME "claim" CLAIM "script" TEXT). */}}
{{- define "pgrecall.dumpPod" -}}
{{- $root := .root -}}
{{- $b := $root.Values.backup -}}
metadata:
  labels:
    {{- include "pgrecall.podLabels" (dict "root" $root "component" .component) | nindent 4 }}
spec:
  {{- include "pgrecall.pod" (dict "root" $root "user" 999) | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: {{ .component }}
      image: {{ include "pgrecall.image" (dict "root" $root "image" $b.image) | quote }}
      imagePullPolicy: {{ $b.image.pullPolicy }}
      command: ["sh", "-eu", "-c"]
      args:
        - |
          {{- .script | nindent 10 }}
      env:
        # A login that bypasses row-level security, because a dump must contain the rows of all tenants.
        {{- $pg := $root.Values.postgresql }}
        {{- $external := not (empty $pg.external.existingSecret) }}
        - name: SESSION_DATABASE_URL
          valueFrom:
            secretKeyRef:
              name: {{ include "pgrecall.databaseSecret" $root | quote }}
              key: {{ ternary (default $pg.external.dsnKey $pg.external.sessionDsnKey) $pg.auth.superuserDsnKey $external | quote }}
        - { name: DUMPS, value: /dumps }
        - { name: KEEP, value: {{ $b.keep | quote }} }
        - { name: ONWARD, value: {{ $b.onward | quote }} }
        - { name: FILE, value: {{ $root.Values.restore.file | quote }} }
      resources:
        requests: { cpu: 100m, memory: 64Mi }
        limits: { memory: 512Mi }
      securityContext:
        {{- include "pgrecall.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "pgrecall.mounts" $root | nindent 8 }}
        - { name: dumps, mountPath: /dumps }
  volumes:
    {{- include "pgrecall.volumes" $root | nindent 4 }}
    - name: dumps
      persistentVolumeClaim: { claimName: {{ .claim | quote }} }
{{- end -}}

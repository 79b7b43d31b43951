{{/* The security contexts of all pods and containers: Kubernetes' `restricted` profile, and a read-only root file system. */}}

{{/* The security context of a pod: (dict "root" $ "user" ID), ID being that of the user and the group. */}}
{{- define "pgrecall.podSecurity" -}}
runAsNonRoot: true
{{- if .root.Values.fixedUserIds }}
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "pgrecall.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: ["ALL"]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The first fields of every pod's spec: (dict "root" $ "user" ID). */}}
{{- define "pgrecall.pod" -}}
serviceAccountName: {{ include "pgrecall.serviceAccountName" .root | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "pgrecall.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* Where a pod may run. The argument is a mapping with `nodeSelector`, `tolerations`, `affinity` and `priorityClassName`. */}}
{{- define "pgrecall.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

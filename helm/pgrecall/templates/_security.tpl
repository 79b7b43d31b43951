{{/* The security contexts of all pods and containers: Kubernetes' `restricted` profile, and a read-only root file system. */}}

{{/* The security context of a pod. Its argument is the id of the user and the group. */}}
{{- define "pgrecall.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
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
  {{- include "pgrecall.podSecurity" .user | nindent 2 }}
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

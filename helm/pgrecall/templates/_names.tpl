{{/* Names and labels. Every label is quoted, because a release may be called `y` or `1`, which YAML reads as other types. */}}

{{/* At most 36 characters, so that a name with its suffix fits into 52, the limit of a CronJob. A hash keeps truncated names distinct. */}}
{{- define "pgrecall.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- if gt (len $full) 36 -}}
{{- printf "%s-%s" ($full | trunc 27 | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end -}}

{{/* The labels that select a component: (dict "root" $ "component" NAME). */}}
{{- define "pgrecall.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{- define "pgrecall.labels" -}}
{{ include "pgrecall.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: "pgrecall"
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The labels of a pod. They do not contain the version, because a label that changes with each upgrade would restart the database. */}}
{{- define "pgrecall.podLabels" -}}
{{ include "pgrecall.selector" . }}
app.kubernetes.io/part-of: "pgrecall"
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object: (dict "root" $ "component" NAME "suffix" "-x"). */}}
{{- define "pgrecall.metadata" -}}
name: {{ printf "%s%s" (include "pgrecall.fullname" .root) (default "" .suffix) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "pgrecall.labels" . | nindent 2 }}
{{- end -}}

{{- define "pgrecall.serviceAccountName" -}}
{{- default (include "pgrecall.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The image by digest, if there is one, because a tag can be moved to another image. */}}
{{- define "pgrecall.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

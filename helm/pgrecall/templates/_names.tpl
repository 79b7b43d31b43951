{{/* Names and labels. Every label is quoted: a release may be called `y`, or `1`. */}}

{{/* At most 36 characters, so that what stands behind it fits into 52. A name that was cut keeps its difference. */}}
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

{{/* Called with (dict "root" $ "component" NAME). */}}
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

{{/* The labels of a pod: nothing that changes with each version, or each would start the database again. */}}
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

{{/* A digest names exactly one image, whatever becomes of the tag. */}}
{{- define "pgrecall.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

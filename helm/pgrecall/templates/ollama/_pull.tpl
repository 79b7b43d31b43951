{{/* The pod that makes Ollama pull the model: (dict "root" $ "pullAgain" BOOL). It runs Ollama's client, from Ollama's image. For a model that is there
already it sends one request, unless `pullAgain` is true. The pod fails if a pull fails. */}}
{{- define "pgrecall.pullPod" -}}
{{- $root := .root -}}
{{- $o := $root.Values.ollama -}}
{{- $model := $root.Values.embedding.ollama.model -}}
{{- $name := printf "%s-ollama" (include "pgrecall.fullname" $root) -}}
{{- $port := ternary 11435 11434 $o.authProxy.enabled -}}
{{- $hosts := list (printf "%s.%s.svc" $name $root.Release.Namespace) -}}
{{- if $o.persistence.perPod -}}
{{- $hosts = list -}}
{{- range $at := until (int $o.replicas) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s-pods.%s.svc" $name $at $name $root.Release.Namespace) -}}
{{- end -}}
{{- end -}}
metadata:
  labels:
    {{- include "pgrecall.podLabels" (dict "root" $root "component" "ollama-pull") | nindent 4 }}
spec:
  {{- include "pgrecall.pod" (dict "root" $root "user" 10001) | nindent 2 }}
  restartPolicy: OnFailure
  containers:
    - name: pull
      image: {{ include "pgrecall.image" (dict "root" $root "image" $o.image) | quote }}
      imagePullPolicy: {{ $o.image.pullPolicy }}
      command: ["sh", "-eu", "-c"]
      args:
        - |
          for host in {{ join " " $hosts }}; do
            export OLLAMA_HOST="http://$host:{{ $port }}"
            tries=0
            until ollama list > /dev/null; do
              tries=$((tries + 1))
              [ "$tries" -lt 60 ] || { echo "Ollama does not answer at $OLLAMA_HOST" >&2; exit 1; }
              sleep 5
            done
            {{- if $o.modelfile }}
            ollama create {{ $model | squote }} -f /etc/ollama/Modelfile
            {{- else if .pullAgain }}
            ollama pull {{ $model | squote }}
            {{- else }}
            ollama show {{ $model | squote }} > /dev/null 2>&1 || ollama pull {{ $model | squote }}
            {{- end }}
            ollama show {{ $model | squote }} > /dev/null
          done
      env:
        - { name: HOME, value: /tmp }
      resources:
        requests: { cpu: 50m, memory: 64Mi }
        limits: { memory: 512Mi }
      securityContext:
        {{- include "pgrecall.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
        {{- if $o.modelfile }}
        - { name: modelfile, mountPath: /etc/ollama, readOnly: true }
        {{- end }}
  volumes:
    - { name: tmp, emptyDir: {} }
    {{- if $o.modelfile }}
    - name: modelfile
      configMap: { name: {{ $name | quote }} }
    {{- end }}
{{- end -}}

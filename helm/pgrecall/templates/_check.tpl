{{/* What cannot work is refused here, in words that say what to change. Types and unknown keys are values.schema.json's business. */}}
{{- define "pgrecall.check" -}}
{{- $v := .Values -}}
{{- $databases := list -}}
{{- if $v.postgresql.enabled }}{{ $databases = append $databases "postgresql.enabled" }}{{ end -}}
{{- if $v.postgresql.external.existingSecret }}{{ $databases = append $databases "postgresql.external.existingSecret" }}{{ end -}}
{{- if $v.postgresql.cloudnativepg.enabled }}{{ $databases = append $databases "postgresql.cloudnativepg.enabled" }}{{ end -}}
{{- if gt (len $databases) 1 -}}
{{- fail (printf "%s are all set, and there is one database: keep one of them%s" (join " and " $databases) (ternary ", and set postgresql.enabled to false for the others" "" $v.postgresql.enabled)) -}}
{{- end -}}
{{- if not $databases -}}
{{- fail "there is no database: set postgresql.enabled, postgresql.external.existingSecret or postgresql.cloudnativepg.enabled" -}}
{{- end -}}
{{- if and $v.postgresql.cloudnativepg.enabled (not $v.postgresql.cloudnativepg.imageName) -}}
{{- fail "postgresql.cloudnativepg.imageName is empty: name an image of CloudNativePG that has pgvector" -}}
{{- end -}}
{{- range $secret := list (dict "name" $v.postgresql.external.existingSecret "keys" (list $v.postgresql.external.dsnKey $v.postgresql.external.sessionDsnKey) "at" "postgresql.external") (dict "name" $v.postgresql.auth.existingSecret "keys" (list $v.postgresql.auth.passwordKey $v.postgresql.auth.dsnKey $v.postgresql.auth.superuserPasswordKey $v.postgresql.auth.superuserDsnKey) "at" "postgresql.auth") (dict "name" $v.embedding.openai.existingSecret "keys" (list $v.embedding.openai.secretKey) "at" "embedding.openai") (dict "name" $v.ollama.authProxy.existingSecret "keys" (list $v.ollama.authProxy.secretKey) "at" "ollama.authProxy") -}}
{{- if $secret.name -}}
{{- $there := lookup "v1" "Secret" $.Release.Namespace $secret.name -}}
{{- range $key := $secret.keys -}}
{{- if and $there $key (not (hasKey (default dict $there.data) $key)) -}}
{{- fail (printf "the Secret %s has no key %s: add it, or name the right key under %s" $secret.name $key $secret.at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $lease := include "pgrecall.seconds" (dict "of" $v.embedJobs.leaseDuration "at" "embedJobs.leaseDuration") | float64 -}}
{{- $timeout := include "pgrecall.seconds" (dict "of" $v.embedJobs.embedTimeout "at" "embedJobs.embedTimeout") | float64 -}}
{{- if lt $lease $timeout -}}
{{- fail (printf "embedJobs.leaseDuration (%s) is shorter than embedJobs.embedTimeout (%s): make it at least as long" $v.embedJobs.leaseDuration $v.embedJobs.embedTimeout) -}}
{{- end -}}
{{- $_ := include "pgrecall.seconds" (dict "of" $v.embedding.timeout "at" "embedding.timeout") -}}
{{- if and (eq $v.embedding.provider "ollama") (not $v.ollama.enabled) (not $v.embedding.ollama.url) -}}
{{- fail "embedding.provider is ollama, which the chart does not bring: set ollama.enabled, or embedding.ollama.url to where it is" -}}
{{- end -}}
{{- if and (eq $v.embedding.provider "tei") (not $v.tei.enabled) (not $v.embedding.tei.url) -}}
{{- fail "embedding.provider is tei, which the chart does not bring: set tei.enabled, or embedding.tei.url to where it is" -}}
{{- end -}}
{{- if and $v.tei.enabled (not $v.tei.image.repository) -}}
{{- fail "tei.image.repository is empty: name the repository from which your cluster pulls text-embeddings-inference" -}}
{{- end -}}
{{- if and (eq $v.embedding.provider "openai") (not $v.embedding.openai.existingSecret) (hasPrefix "https://api.openai.com" $v.embedding.openai.url) -}}
{{- fail "embedding.openai.existingSecret is empty: name the Secret with the API key" -}}
{{- end -}}
{{- if and (eq (include "pgrecall.ollama" .) "true") $v.ollama.autoscaling.enabled (ne $v.ollama.persistence.accessMode "ReadWriteMany") -}}
{{- fail "ollama.autoscaling.enabled needs one volume for all pods, or a new pod has no model: set ollama.persistence.accessMode to ReadWriteMany, and perPod to false" -}}
{{- end -}}
{{- if and $v.ollama.autoscaling.enabled $v.ollama.persistence.perPod -}}
{{- fail "ollama.persistence.perPod and ollama.autoscaling.enabled are both set: a pod that is added would have no model" -}}
{{- end -}}
{{- if and (eq (include "pgrecall.ollama" .) "true") (gt (int $v.ollama.replicas) 1) (not $v.ollama.persistence.perPod) (ne $v.ollama.persistence.accessMode "ReadWriteMany") -}}
{{- fail "ollama.replicas is more than 1 over one volume: set ollama.persistence.accessMode to ReadWriteMany, or ollama.persistence.perPod" -}}
{{- end -}}
{{- if and $v.ollama.authProxy.enabled (not $v.networkPolicy.enabled) -}}
{{- fail "ollama.authProxy.enabled needs networkPolicy.enabled: without it Ollama's own port is open beside the proxy" -}}
{{- end -}}
{{- if and $v.backup.enabled $v.postgresql.cloudnativepg.enabled -}}
{{- fail "backup.enabled dumps by a login that row-level security does not bind, which CloudNativePG gives nobody: set postgresql.cloudnativepg.barmanObjectStore instead" -}}
{{- end -}}
{{- if and $v.ingest.enabled (not $v.ingest.existingClaim) -}}
{{- fail "ingest.existingClaim is empty: name the PersistentVolumeClaim with the documents" -}}
{{- end -}}
{{- if and $v.restore.enabled (not $v.restore.file) -}}
{{- fail "restore.file is empty: name the dump to restore, as it is called on the backup's volume" -}}
{{- end -}}
{{- if and $v.restore.enabled (or (gt (int $v.platform.replicas) 0) $v.platform.autoscaling.enabled $v.workers.enabled $v.ingest.enabled) -}}
{{- fail "restore.enabled needs a database in which nobody makes a schema first: set platform.replicas to 0, and platform.autoscaling.enabled, workers.enabled and ingest.enabled to false, until it is done" -}}
{{- end -}}
{{- if and $v.auth.oauth.issuer (not $v.auth.oauth.audience) (not $v.ingress.enabled) (not (dig "server" "public_url" "" $v.config)) -}}
{{- fail "auth.oauth.issuer is set, and a token must be meant for this server: set auth.oauth.audience, or ingress.enabled with its host" -}}
{{- end -}}
{{- if $v.postgresql.enabled -}}
{{- /* A pod opens `database.connections` for each of its two programs, twelve for its worker's sessions, and one for `/readyz`; in an upgrade there is a pod more. */ -}}
{{- $each := dig "database" "connections" 10 $v.config | int -}}
{{- $pods := ternary $v.platform.autoscaling.maxReplicas $v.platform.replicas $v.platform.autoscaling.enabled | int | add 1 -}}
{{- $wanted := mul $pods (add (mul 2 $each) 13) -}}
{{- if $v.workers.enabled -}}
{{- $workers := ternary $v.workers.autoscaling.maxReplicas $v.workers.replicas $v.workers.autoscaling.enabled | int -}}
{{- $wanted = add $wanted (mul (add $workers (div (add $workers 3) 4)) (add $each 12)) -}}
{{- end -}}
{{- if $v.ingest.enabled }}{{ $wanted = add $wanted $each }}{{ end -}}
{{- if $v.backup.enabled }}{{ $wanted = add $wanted 1 }}{{ end -}}
{{- /* Three are a superuser's. */ -}}
{{- $most := sub (default 100 $v.postgresql.settings.max_connections | int) 3 -}}
{{- if gt (int $wanted) (int $most) -}}
{{- fail (printf "the pods may open %d connections to Postgres, and it takes %d: raise postgresql.settings.max_connections to %d, or lower the numbers of pods or config.database.connections" (int $wanted) (int $most) (int (add $wanted 3))) -}}
{{- end -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
{{- fail "ingress.host is empty: name the host under which clients find MCP" -}}
{{- end -}}
{{- end -}}

{{/* A duration in seconds: (dict "of" "5m" "at" KEY). */}}
{{- define "pgrecall.seconds" -}}
{{- $text := toString .of -}}
{{- if not (regexMatch "^[0-9]+(ms|s|m|h)$" $text) -}}
{{- fail (printf "%s is %q: write a duration with its unit, such as 250ms, 30s, 5m or 1h" .at $text) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" $text | float64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- mulf $number (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit) -}}
{{- end -}}

{{/* Rejects values that cannot work together, with an error that says what to change. values.schema.json rejects wrong types and unknown keys. */}}
{{- define "pgrecall.check" -}}
{{- $v := .Values -}}
{{- $databases := list -}}
{{- if $v.postgresql.enabled }}{{ $databases = append $databases "postgresql.enabled" }}{{ end -}}
{{- if $v.postgresql.external.existingSecret }}{{ $databases = append $databases "postgresql.external.existingSecret" }}{{ end -}}
{{- if $v.postgresql.cloudnativepg.enabled }}{{ $databases = append $databases "postgresql.cloudnativepg.enabled" }}{{ end -}}
{{- if gt (len $databases) 1 -}}
{{- fail (printf "%s are all set, but pgrecall uses one database: keep one of them%s" (join " and " $databases) (ternary "; to keep one of the others, set postgresql.enabled to false" "" $v.postgresql.enabled)) -}}
{{- end -}}
{{- if not $databases -}}
{{- fail "no database is configured: set postgresql.enabled, postgresql.external.existingSecret or postgresql.cloudnativepg.enabled" -}}
{{- end -}}
{{- if and $v.postgresql.cloudnativepg.enabled (not $v.postgresql.cloudnativepg.imageName) -}}
{{- fail "postgresql.cloudnativepg.imageName is empty: name an image of CloudNativePG that has pgvector" -}}
{{- end -}}
{{- range $secret := list (dict "name" $v.postgresql.external.existingSecret "keys" (list $v.postgresql.external.dsnKey $v.postgresql.external.sessionDsnKey) "at" "postgresql.external") (dict "name" $v.postgresql.auth.existingSecret "keys" (list $v.postgresql.auth.passwordKey $v.postgresql.auth.dsnKey $v.postgresql.auth.superuserPasswordKey $v.postgresql.auth.superuserDsnKey) "at" "postgresql.auth") (dict "name" $v.embedding.openai.existingSecret "keys" (list $v.embedding.openai.secretKey) "at" "embedding.openai") (dict "name" $v.ollama.authProxy.existingSecret "keys" (list $v.ollama.authProxy.secretKey) "at" "ollama.authProxy") -}}
{{- if $secret.name -}}
{{- $there := lookup "v1" "Secret" $.Release.Namespace $secret.name -}}
{{- range $key := $secret.keys -}}
{{- if and $there $key (not (hasKey (default dict $there.data) $key)) -}}
{{- fail (printf "the Secret %s has no key %s: add the key, or name the right one under %s" $secret.name $key $secret.at) -}}
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
{{- fail "embedding.provider is ollama, but the chart does not deploy Ollama: set ollama.enabled, or set embedding.ollama.url to the address of another Ollama" -}}
{{- end -}}
{{- if and (eq $v.embedding.provider "tei") (not $v.tei.enabled) (not $v.embedding.tei.url) -}}
{{- fail "embedding.provider is tei, but the chart does not deploy text-embeddings-inference: set tei.enabled, or set embedding.tei.url to the address of another one" -}}
{{- end -}}
{{- if and $v.tei.enabled (not $v.tei.image.repository) -}}
{{- fail "tei.image.repository is empty: name the repository from which your cluster pulls text-embeddings-inference" -}}
{{- end -}}
{{- if and (eq $v.embedding.provider "openai") (not $v.embedding.openai.existingSecret) (hasPrefix "https://api.openai.com" $v.embedding.openai.url) -}}
{{- fail "embedding.openai.existingSecret is empty: name the Secret with the API key" -}}
{{- end -}}
{{- if and (eq (include "pgrecall.ollama" .) "true") $v.ollama.autoscaling.enabled (ne $v.ollama.persistence.accessMode "ReadWriteMany") -}}
{{- fail "ollama.autoscaling.enabled needs one volume for all pods, because a new pod would have no model on a volume of its own: set ollama.persistence.accessMode to ReadWriteMany, and ollama.persistence.perPod to false" -}}
{{- end -}}
{{- if and $v.ollama.autoscaling.enabled $v.ollama.persistence.perPod -}}
{{- fail "ollama.persistence.perPod and ollama.autoscaling.enabled are both set, but a pod that the autoscaler adds would have no model: set one of them to false" -}}
{{- end -}}
{{- if and (eq (include "pgrecall.ollama" .) "true") (gt (int $v.ollama.replicas) 1) (not $v.ollama.persistence.perPod) (ne $v.ollama.persistence.accessMode "ReadWriteMany") -}}
{{- fail "ollama.replicas is more than 1, but the pods share a volume with ollama.persistence.accessMode ReadWriteOnce: set that to ReadWriteMany, or set ollama.persistence.perPod" -}}
{{- end -}}
{{- if and $v.ollama.authProxy.enabled (not $v.networkPolicy.enabled) -}}
{{- fail "ollama.authProxy.enabled needs networkPolicy.enabled: without a NetworkPolicy, any pod can bypass the proxy through Ollama's own port" -}}
{{- end -}}
{{- if and $v.backup.enabled $v.postgresql.cloudnativepg.enabled -}}
{{- fail "backup.enabled needs a login that bypasses row-level security, and CloudNativePG provides no such login: set backup.enabled to false, and use postgresql.cloudnativepg.barmanObjectStore instead" -}}
{{- end -}}
{{- if and $v.ingest.enabled (not $v.ingest.existingClaim) -}}
{{- fail "ingest.existingClaim is empty: name the PersistentVolumeClaim with the documents" -}}
{{- end -}}
{{- if and $v.restore.enabled (not $v.restore.file) -}}
{{- fail "restore.file is empty: name the file of the dump on the volume of the backups" -}}
{{- end -}}
{{- if and $v.restore.enabled (or (gt (int $v.platform.replicas) 0) $v.platform.autoscaling.enabled $v.workers.enabled $v.ingest.enabled) -}}
{{- fail "restore.enabled needs an empty database, but a program that runs would create its schema: set platform.replicas to 0, and platform.autoscaling.enabled, workers.enabled and ingest.enabled to false, until the restore is done" -}}
{{- end -}}
{{- if and $v.auth.oauth.issuer (not $v.auth.oauth.audience) (not $v.ingress.enabled) (not (dig "server" "public_url" "" $v.config)) -}}
{{- fail "auth.oauth.issuer is set, but not the audience that its tokens must have: set auth.oauth.audience, or ingress.enabled and ingress.host" -}}
{{- end -}}
{{- if $v.postgresql.enabled -}}
{{- /* A pod opens `database.connections` for each of its two programs, twelve for its worker's sessions, and one for `/readyz`. An upgrade adds one pod. */ -}}
{{- $each := dig "database" "connections" 10 $v.config | int -}}
{{- $pods := ternary $v.platform.autoscaling.maxReplicas $v.platform.replicas $v.platform.autoscaling.enabled | int | add 1 -}}
{{- $wanted := mul $pods (add (mul 2 $each) 13) -}}
{{- if $v.workers.enabled -}}
{{- $workers := ternary $v.workers.autoscaling.maxReplicas $v.workers.replicas $v.workers.autoscaling.enabled | int -}}
{{- $wanted = add $wanted (mul (add $workers (div (add $workers 3) 4)) (add $each 12)) -}}
{{- end -}}
{{- if $v.ingest.enabled }}{{ $wanted = add $wanted $each }}{{ end -}}
{{- if $v.backup.enabled }}{{ $wanted = add $wanted 1 }}{{ end -}}
{{- /* Postgres reserves three connections for superusers (`superuser_reserved_connections`). */ -}}
{{- $most := sub (default 100 $v.postgresql.settings.max_connections | int) 3 -}}
{{- if gt (int $wanted) (int $most) -}}
{{- fail (printf "the pods may open %d connections to Postgres, but Postgres accepts %d: raise postgresql.settings.max_connections to %d, or lower the number of pods or config.database.connections" (int $wanted) (int $most) (int (add $wanted 3))) -}}
{{- end -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) -}}
{{- fail "ingress.host is empty: name the host under which clients reach MCP" -}}
{{- end -}}
{{- end -}}

{{/* Converts a duration to seconds: (dict "of" "5m" "at" KEY). */}}
{{- define "pgrecall.seconds" -}}
{{- $text := toString .of -}}
{{- if not (regexMatch "^[0-9]+(ms|s|m|h)$" $text) -}}
{{- fail (printf "%s is %q: write a duration with its unit, such as 250ms, 30s, 5m or 1h" .at $text) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" $text | float64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- mulf $number (get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) $unit) -}}
{{- end -}}

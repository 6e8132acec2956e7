{{- define "conferenced.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "conferenced.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "conferenced.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "conferenced.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "conferenced.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "conferenced.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "conferenced.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secret and the key of the credential of the one account. */}}
{{- define "conferenced.credential" -}}
{{- $c := ternary .Values.twilio.apiKey .Values.twilio.authToken (ne .Values.twilio.apiKey.sid "") -}}
{{- toJson (dict "secretName" $c.secretName "key" $c.key) -}}
{{- end -}}

{{/* The number of pods without an autoscaler. */}}
{{- define "conferenced.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{- ternary 2 1 (ne .Values.redis.url "") -}}
{{- else -}}
{{- int .Values.replicas -}}
{{- end -}}
{{- end -}}

{{/* The ports of redis.url, as JSON. */}}
{{- define "conferenced.redisPorts" -}}
{{- $url := urlParse .Values.redis.url -}}
{{- $addresses := list $url.host -}}
{{- range regexFindAll "addr=[^&]+" $url.query -1 -}}
{{- $addresses = append $addresses . -}}
{{- end -}}
{{- $ports := list -}}
{{- range $addresses -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "6379" | int) -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}

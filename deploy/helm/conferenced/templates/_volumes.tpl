{{/*
The volumes. They are mounted as folders: single files would not be updated when
their Secret or ConfigMap changes.
*/}}
{{- define "conferenced.files" -}}
files:
  {{- if or .Values.accounts .Values.policy }}
  - {name: config, path: /etc/conferenced/config, configMap: {{ include "conferenced.fullname" . }}}
  {{- end }}
  {{- if not .Values.accounts }}
  - {name: twilio, path: /etc/conferenced/twilio, secret: {{ (include "conferenced.credential" . | fromJson).secretName }}}
  {{- end }}
  {{- range $i, $secret := .Values.accountSecrets }}
  - {name: account-{{ $i }}, path: /run/secrets/{{ $secret }}, secret: {{ $secret }}}
  {{- end }}
  {{- with .Values.callers.tokens.secretName }}
  - {name: tokens, path: /etc/conferenced/tokens, secret: {{ . }}}
  {{- end }}
  {{- with .Values.callers.clientCA.configMapName }}
  - {name: client-ca, path: /etc/conferenced/client-ca, configMap: {{ . }}}
  {{- end }}
  {{- with .Values.policyConfigMap.name }}
  - {name: policy, path: /etc/conferenced/policy, configMap: {{ . }}}
  {{- end }}
  {{- with .Values.redis.password.secretName }}
  - {name: redis, path: /etc/conferenced/redis, secret: {{ . }}}
  {{- end }}
  {{- with .Values.tls.secretName }}
  - {name: tls, path: /etc/conferenced/tls, secret: {{ . }}}
  {{- end }}
{{- end -}}

{{- define "conferenced.mounts" -}}
{{- with (include "conferenced.files" . | fromYaml).files -}}
volumeMounts:
  {{- range . }}
  - name: {{ .name }}
    mountPath: {{ .path }}
    readOnly: true
  {{- end }}
{{- end }}
{{- end -}}

{{- define "conferenced.volumes" -}}
{{- with (include "conferenced.files" . | fromYaml).files -}}
volumes:
  {{- range . }}
  - name: {{ .name }}
    {{- if .secret }}
    secret:
      secretName: {{ .secret }}
      defaultMode: 0440
    {{- else }}
    configMap:
      name: {{ .configMap }}
      defaultMode: 0444
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

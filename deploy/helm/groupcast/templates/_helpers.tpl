{{/* At most 52 characters: a StatefulSet's pods carry its name and eleven more in a label, which may have 63. */}}
{{- define "groupcast.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-groupcast" .Release.Name) (contains "groupcast" .Release.Name) -}}
{{- default $name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "groupcast.selectorLabels" -}}
app.kubernetes.io/name: groupcast
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "groupcast.labels" -}}
{{ include "groupcast.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* groupcast.yaml: the values' `config`, with what the chart decides. */}}
{{- define "groupcast.configuration" -}}
{{- $address := ternary (printf "[%s]" .Values.http.address) .Values.http.address (contains ":" .Values.http.address) -}}
{{- $config := merge (dict "http" (dict "listen" (printf "%s:%d" $address (int .Values.http.port)))) (deepCopy .Values.config) -}}
{{- if .Values.definitions -}}
{{- $_ := set $config "definitions" "/definitions" -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* How long a stop may take to drain and commit, as the configuration says. */}}
{{- define "groupcast.shutdownSeconds" -}}
{{- $delivery := default dict .Values.config.delivery -}}
{{- div (add (int64 (default 30000 $delivery.shutdown_timeout_ms)) 999) 1000 -}}
{{- end -}}

{{/* Stops with a sentence where values contradict each other in a way that a schema cannot see. */}}
{{- define "groupcast.checkValues" -}}
{{- range $mentioned := regexFindAll "/secrets/[^/\\s\"']+/" (toYaml .Values.config) -1 -}}
{{- $name := $mentioned | trimPrefix "/secrets/" | trimSuffix "/" -}}
{{- if not (has $name $.Values.secrets) -}}
{{- fail (printf "config reads a file of /secrets/%s, but secrets does not list %s" $name $name) -}}
{{- end -}}
{{- end -}}
{{- $consumer := merge (dict) (default dict .Values.config.kafka.consumer_properties) (default dict .Values.config.kafka.properties) -}}
{{- if hasKey $consumer "group.instance.id" -}}
{{- fail "config.kafka sets group.instance.id, which would be the same in every pod: leave it out, staticMembers gives each its own" -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.bootstrapServers) (not (kindIs "string" .Values.config.kafka.brokers)) -}}
{{- fail "KEDA reads no secret's file: set keda.bootstrapServers, or config.kafka.brokers as a string" -}}
{{- end -}}
{{- if and .Values.keda.enabled (lt (int .Values.keda.maxReplicas) (int .Values.keda.minReplicas)) -}}
{{- fail "keda.maxReplicas is less than keda.minReplicas" -}}
{{- end -}}
{{- end -}}

{{- define "groupcast.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{/* What every pod runs as. */}}
{{- define "groupcast.podSecurityContext" -}}
{{- toYaml .Values.podSecurityContext -}}
{{- end -}}

{{- define "groupcast.containerSecurityContext" -}}
{{- toYaml .Values.securityContext -}}
{{- end -}}

{{- define "groupcast.serviceAccountName" -}}
{{- if or .Values.serviceAccount.create .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name | default (include "groupcast.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The configuration, the definitions and the secrets, as files. */}}
{{- define "groupcast.volumeMounts" -}}
- name: config
  mountPath: /etc/groupcast
  readOnly: true
{{- if .Values.definitions }}
- name: definitions
  mountPath: /definitions
  readOnly: true
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . | replace "." "-" | trunc 50 | trimSuffix "-" }}
  mountPath: /secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "groupcast.volumes" -}}
- name: config
  configMap:
    name: {{ include "groupcast.fullname" . }}
{{- if .Values.definitions }}
- name: definitions
  configMap:
    name: {{ include "groupcast.fullname" . }}-definitions
{{- end }}
{{- range .Values.secrets }}
- name: secret-{{ . | replace "." "-" | trunc 50 | trimSuffix "-" }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

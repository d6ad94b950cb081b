{{- define "countersign.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "countersign.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "countersign.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "countersign.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "countersign.selector" -}}
app.kubernetes.io/name: {{ include "countersign.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "countersign.labels" -}}
app.kubernetes.io/name: {{ include "countersign.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "countersign.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "countersign.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "countersign.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "countersign.module" -}}
{{- if eq .Values.hsm.client.type "sidecar" -}}
{{- .Values.hsm.module | default "/usr/lib/pkcs11/p11-kit-client.so" -}}
{{- else -}}
{{- required "hsm.module: the PKCS#11 module, as the server's container sees it" .Values.hsm.module -}}
{{- end -}}
{{- end -}}

{{- /* What config and the chart say together. The schema keeps the two apart. */ -}}
{{- define "countersign.config" -}}
{{- $v := .Values -}}
{{- $own := dict
  "listen" (dict "address" "0.0.0.0:8443" "certificate_file" "/etc/countersign/tls/tls.crt" "key_file" "/etc/countersign/tls/tls.key")
  "store" (dict "driver" "postgres" "url_file" (printf "/etc/countersign/database/%s" $v.database.key))
  "signer" (dict "module" (include "countersign.module" .) "token" $v.hsm.token "pin_file" (printf "/etc/countersign/hsm/%s" $v.hsm.pin.key) "state_dir" "/var/lib/countersign")
  "limits" (dict "drain_time" (printf "%ds" (int $v.shutdown.drainSeconds)) "shutdown_timeout" (printf "%ds" (int $v.shutdown.requestSeconds)))
-}}
{{- if $v.database.notifyKey -}}
{{- $_ := set $own.store "notify_url_file" (printf "/etc/countersign/database/%s" $v.database.notifyKey) -}}
{{- end -}}
{{- $environment := deepCopy $v.hsm.environment -}}
{{- if eq $v.hsm.client.type "sidecar" -}}
{{- $_ := set $environment "P11_KIT_SERVER_ADDRESS" "unix:path=/run/hsm/socket" -}}
{{- end -}}
{{- if $environment -}}
{{- $_ := set $own.signer "environment" $environment -}}
{{- end -}}
{{- if $v.mtls.enabled -}}
{{- $mtls := dict "address" "0.0.0.0:8444" "url" $v.mtls.url -}}
{{- if or $v.mtls.clientCA.configMap $v.mtls.clientCA.existingSecret -}}
{{- $_ := set $mtls "client_ca_file" (printf "/etc/countersign/client-ca/%s" $v.mtls.clientCA.key) -}}
{{- end -}}
{{- $_ := set $own "listen_mtls" $mtls -}}
{{- end -}}
{{- if $v.metrics.enabled -}}
{{- $metrics := dict "listen" "0.0.0.0:9464" "certificate_file" "/etc/countersign/metrics/tls.crt" "key_file" "/etc/countersign/metrics/tls.key" "client_ca_file" "/etc/countersign/metrics/ca.crt" -}}
{{- if $v.metrics.clientName -}}
{{- $_ := set $metrics "client_name" $v.metrics.clientName -}}
{{- end -}}
{{- $_ := set $own "metrics" $metrics -}}
{{- end -}}
{{- if $v.admin.enabled -}}
{{- $_ := set $own "admin" (dict "listen" "0.0.0.0:9443" "certificate_file" "/etc/countersign/admin/tls.crt" "key_file" "/etc/countersign/admin/tls.key" "client_ca_file" "/etc/countersign/admin/ca.crt") -}}
{{- end -}}
{{- include "countersign.toml" (dict "table" (mergeOverwrite (deepCopy $v.config) $own) "path" "") -}}
{{- end -}}

{{- /* TOML, with the numbers of YAML as they are: toToml writes 5 as 5.0. */ -}}
{{- define "countersign.toml" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- range $key := keys $table | sortAlpha -}}
{{- $value := index $table $key -}}
{{- if not (or (kindIs "map" $value) (and (kindIs "slice" $value) $value (kindIs "map" (first $value)))) }}
{{ include "countersign.key" $key }} = {{ include "countersign.value" $value }}
{{- end -}}
{{- end -}}
{{- range $key := keys $table | sortAlpha -}}
{{- $value := index $table $key -}}
{{- $name := include "countersign.key" $key -}}
{{- if $path }}{{ $name = printf "%s.%s" $path $name }}{{ end -}}
{{- if kindIs "map" $value }}

[{{ $name }}]
{{- include "countersign.toml" (dict "table" $value "path" $name) -}}
{{- else if and (kindIs "slice" $value) $value (kindIs "map" (first $value)) -}}
{{- range $value }}

[[{{ $name }}]]
{{- include "countersign.toml" (dict "table" . "path" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "countersign.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{- define "countersign.value" -}}
{{- if kindIs "slice" . -}}
[{{ range $i, $each := . }}{{ if $i }}, {{ end }}{{ include "countersign.value" $each }}{{ end }}]
{{- else if or (kindIs "float64" .) (kindIs "int" .) (kindIs "int64" .) -}}
{{ if eq (float64 (int64 .)) (float64 .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{- define "countersign.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
privileged: false
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "countersign.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- /* What the configuration names, for the server and for the migration. */ -}}
{{- define "countersign.mounts" -}}
- { name: config, mountPath: /etc/countersign/countersign.toml, subPath: countersign.toml, readOnly: true }
- { name: tls, mountPath: /etc/countersign/tls, readOnly: true }
- { name: database, mountPath: /etc/countersign/database, readOnly: true }
- { name: hsm-pin, mountPath: /etc/countersign/hsm, readOnly: true }
- { name: state, mountPath: /var/lib/countersign }
- { name: tmp, mountPath: /tmp }
{{- if and .Values.mtls.enabled (or .Values.mtls.clientCA.configMap .Values.mtls.clientCA.existingSecret) }}
- { name: client-ca, mountPath: /etc/countersign/client-ca, readOnly: true }
{{- end }}
{{- if .Values.metrics.enabled }}
- { name: metrics, mountPath: /etc/countersign/metrics, readOnly: true }
{{- end }}
{{- if .Values.admin.enabled }}
- { name: admin, mountPath: /etc/countersign/admin, readOnly: true }
{{- end }}
{{- range .Values.files }}
- { name: {{ printf "file-%s" .name | quote }}, mountPath: {{ printf "/etc/countersign/%s" .name | quote }}, readOnly: true }
{{- end }}
{{- if has .Values.hsm.client.type (list "volume" "copy") }}
- { name: hsm-client, mountPath: /opt/hsm, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "countersign.volumes" -}}
- name: tls
  {{- if .Values.tls.volume }}
  {{- toYaml .Values.tls.volume | nindent 2 }}
  {{- else }}
  secret: { secretName: {{ .Values.tls.existingSecret | quote }}, defaultMode: 0400 }
  {{- end }}
- name: database
  {{- if .Values.database.volume }}
  {{- toYaml .Values.database.volume | nindent 2 }}
  {{- else }}
  secret: { secretName: {{ .Values.database.existingSecret | quote }}, defaultMode: 0400 }
  {{- end }}
- name: hsm-pin
  {{- if .Values.hsm.pin.volume }}
  {{- toYaml .Values.hsm.pin.volume | nindent 2 }}
  {{- else }}
  secret: { secretName: {{ .Values.hsm.pin.existingSecret | quote }}, defaultMode: 0400 }
  {{- end }}
- name: state
  emptyDir: { medium: Memory, sizeLimit: 16Mi }
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- if .Values.mtls.enabled }}
{{- if .Values.mtls.clientCA.configMap }}
- name: client-ca
  configMap: { name: {{ .Values.mtls.clientCA.configMap | quote }} }
{{- else if .Values.mtls.clientCA.existingSecret }}
- name: client-ca
  secret: { secretName: {{ .Values.mtls.clientCA.existingSecret | quote }}, defaultMode: 0400 }
{{- end }}
{{- end }}
{{- if .Values.metrics.enabled }}
- name: metrics
  secret: { secretName: {{ .Values.metrics.existingSecret | quote }}, defaultMode: 0400 }
{{- end }}
{{- if .Values.admin.enabled }}
- name: admin
  secret: { secretName: {{ .Values.admin.existingSecret | quote }}, defaultMode: 0400 }
{{- end }}
{{- range .Values.files }}
- name: {{ printf "file-%s" .name | quote }}
  {{- if .secret }}
  secret: { secretName: {{ .secret | quote }}, defaultMode: 0400 }
  {{- else }}
  configMap: { name: {{ .configMap | quote }} }
  {{- end }}
{{- end }}
{{- if eq .Values.hsm.client.type "volume" }}
- name: hsm-client
  {{- toYaml .Values.hsm.client.volume | nindent 2 }}
{{- else if eq .Values.hsm.client.type "copy" }}
- name: hsm-client
  emptyDir: { sizeLimit: 512Mi }
{{- else if eq .Values.hsm.client.type "sidecar" }}
- name: hsm-socket
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What runs before the server, or beside it from before its start to after its end. */ -}}
{{- define "countersign.hsmClient" -}}
{{- $client := .Values.hsm.client -}}
- name: hsm-client
  image: {{ $client.image | quote }}
  imagePullPolicy: {{ $client.imagePullPolicy }}
  {{- if eq $client.type "sidecar" }}
  restartPolicy: Always
  {{- end }}
  {{- with $client.command }}
  command: {{ toJson . }}
  {{- end }}
  {{- with $client.args }}
  args: {{ toJson . }}
  {{- end }}
  env:
    {{- if eq $client.type "sidecar" }}
    - { name: P11_KIT_SOCKET, value: /run/hsm/socket }
    {{- end }}
    {{- with $client.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  securityContext:
    {{- mergeOverwrite (include "countersign.containerSecurity" . | fromYaml) (deepCopy $client.securityContext) | toYaml | nindent 4 }}
  {{- with $client.resources }}
  resources: {{ toJson . }}
  {{- end }}
  volumeMounts:
    {{- if eq $client.type "sidecar" }}
    - { name: hsm-socket, mountPath: /run/hsm }
    {{- else }}
    - { name: hsm-client, mountPath: /opt/hsm }
    {{- end }}
    {{- with $client.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

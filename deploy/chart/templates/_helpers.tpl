{{- define "riskpredictor.labels" -}}
app.kubernetes.io/name: riskpredictor-operator
app.kubernetes.io/part-of: riskpredictor
{{ include "riskpredictor.release" . }}
{{- end -}}

{{- define "riskpredictor.release" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "riskpredictor.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{- /* Where the Lease is, and what it is called. */ -}}
{{- define "riskpredictor.leaseNamespace" -}}
{{ .Values.settings.operatorNamespace | default .Release.Namespace }}
{{- end -}}

{{- define "riskpredictor.leaseName" -}}
{{ .Values.settings.leaseName | default "riskpredictor-operator" }}
{{- end -}}

{{- define "riskpredictor.elects" -}}
{{- if ne (toJson .Values.settings.leaderElection) "false" }}true{{ end -}}
{{- end -}}

{{- define "riskpredictor.port" -}}
{{ .Values.settings.httpPort | default 8080 | int }}
{{- end -}}

{{- define "riskpredictor.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ .Values.serviceAccount.name }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* A file of files/ with this release's namespace and labels: (list $ "name" (dict more labels)) */ -}}
{{- define "riskpredictor.file" -}}
{{- $root := index . 0 -}}
{{- $object := printf "files/%s" (index . 1) | $root.Files.Get | fromYaml -}}
{{- $labels := merge (index . 2) ($object.metadata.labels | default dict) (include "riskpredictor.release" $root | fromYaml) -}}
{{- $_ := set $object.metadata "labels" $labels -}}
{{- if ne $object.kind "CustomResourceDefinition" -}}
{{- $_ := set $object.metadata "namespace" $root.Release.Namespace -}}
{{- end -}}
{{ toJson $object }}
{{- end -}}

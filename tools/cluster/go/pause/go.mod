// The program that holds a pod's namespaces open while its containers come and go.
module riskpredictor.local/pause

go 1.24.0

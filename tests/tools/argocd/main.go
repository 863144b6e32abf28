// Command argocd is the part of Argo CD that deploys, and the kustomize that it calls. Its name says
// which program it is, as Argo CD's own command does; what only its web interface needs is left out.
package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"sigs.k8s.io/kustomize/kustomize/v5/commands"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

var programs = map[string]func() *cobra.Command{
	"argocd-application-controller": controller.NewCommand,
	"argocd-repo-server":            reposerver.NewCommand,
	"kustomize":                     commands.NewDefaultCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	program, known := programs[name]
	if !known {
		os.Stderr.WriteString(name + ": no program of this name\n")
		os.Exit(2)
	}
	if program().Execute() != nil {
		os.Exit(1)
	}
}

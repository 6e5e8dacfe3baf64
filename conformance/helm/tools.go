//go:build tools

// Package helm pins helm and what it is built from.
package helm

import _ "helm.sh/helm/v4/cmd/helm"

// The upstream conformance suite as it is, in a program of its own. Its version is that of the go.mod it is built with.
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }

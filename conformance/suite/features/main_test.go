package main

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
)

const said = `    --- PASS: TestConformance/One (1.00s)
        --- PASS: TestConformance/Two/part (0.10s)
    --- PASS: TestConformance/Three (1.00s)
`

func reported(core, extended confv1.Result) *confv1.ConformanceReport {
	profile := confv1.ProfileReport{Name: "GATEWAY-HTTP", Core: confv1.Status{Result: core}}
	if extended != "" {
		profile.Extended = &confv1.ExtendedStatus{Status: confv1.Status{Result: extended}}
	}
	return &confv1.ConformanceReport{ProfileReports: []confv1.ProfileReport{profile}}
}

func TestARunIsASuccessWhenEverythingExpectedPassed(t *testing.T) {
	cases := []struct {
		what     string
		report   *confv1.ConformanceReport
		profiles []string
		expected []string
		wrongs   []string
	}{
		{"all passed", reported(confv1.Success, confv1.Success), []string{"GATEWAY-HTTP"}, []string{"One", "Three"}, nil},
		{"core alone", reported(confv1.Success, ""), []string{"GATEWAY-HTTP"}, []string{"One"}, nil},
		{"a part is not the test", reported(confv1.Success, ""), []string{"GATEWAY-HTTP"}, []string{"One", "Two"}, []string{"Two did not pass"}},
		{"core failed", reported(confv1.Failure, ""), []string{"GATEWAY-HTTP"}, []string{"One"}, []string{"core of GATEWAY-HTTP: failure"}},
		{"something was skipped", reported(confv1.Success, confv1.Partial), []string{"GATEWAY-HTTP"}, []string{"One"},
			[]string{"extended part of GATEWAY-HTTP: partial"}},
		{"nothing was judged", reported("", ""), []string{"GATEWAY-HTTP"}, []string{"One"}, []string{"core of GATEWAY-HTTP: "}},
		{"a profile is missing", reported(confv1.Success, ""), []string{"GATEWAY-TLS"}, []string{"One"}, []string{"GATEWAY-TLS is not in the report"}},
		{"nothing is claimed", reported(confv1.Success, ""), []string{"GATEWAY-HTTP"}, nil, []string{"nothing is claimed that a test is for"}},
	}
	for _, c := range cases {
		if wrongs := judge(c.report, c.profiles, c.expected, said); !slices.Equal(wrongs, c.wrongs) {
			t.Errorf("%s: %q", c.what, wrongs)
		}
	}
}

func TestTestsAreExpectedWhoseFeaturesAreAllClaimed(t *testing.T) {
	if names := testsFor(sets.New[string]()); len(names) != 0 {
		t.Errorf("without a claim: %v", names)
	}
	core := testsFor(sets.New("Gateway", "HTTPRoute", "ReferenceGrant"))
	everything := testsFor(sets.New(all()...))
	if !slices.Contains(core, "HTTPRouteSimpleSameNamespace") || slices.Contains(core, "GRPCRouteWeight") || len(everything) <= len(core) {
		t.Errorf("core: %v, of %d", core, len(everything))
	}
}

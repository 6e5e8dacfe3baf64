// Features says what the suite could ask of a gateway, and what of it is not claimed.
//
//	features all                    every feature of gateways that this version of the suite knows, by comma
//	features missing CLASS REPORT   from a GatewayClass and a report (JSON, YAML): what is not claimed, and what was claimed
//	                                and failed, by feature
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/pkg/features"
	"sigs.k8s.io/yaml"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "all":
		fmt.Println(strings.Join(all(), ","))
	case len(os.Args) == 4 && os.Args[1] == "missing":
		err = missing(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: features all | missing CLASS REPORT")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "features:", err)
		os.Exit(1)
	}
}

// All names every feature but those of a mesh, sorted.
func all() []string {
	mesh := features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures)
	var names []string
	for name := range features.SetsToNamesSet(features.AllFeatures).Difference(mesh) {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

func missing(class, report string) error {
	var gatewayClass gatewayv1.GatewayClass
	if err := read(class, &gatewayClass); err != nil {
		return err
	}
	var conformance confv1.ConformanceReport
	if err := read(report, &conformance); err != nil {
		return err
	}
	claimed := sets.New[string]()
	for _, feature := range gatewayClass.Status.SupportedFeatures {
		claimed.Insert(string(feature.Name))
	}
	var unclaimed []string
	for _, name := range all() {
		if !claimed.Has(name) {
			unclaimed = append(unclaimed, fmt.Sprintf("%-60s %s", name, strings.Join(testsOf(name), " ")))
		}
	}
	list("not claimed", unclaimed)
	failed := sets.New[string]()
	for _, profile := range conformance.ProfileReports {
		failed.Insert(profile.Core.FailedTests...)
		if profile.Extended != nil {
			failed.Insert(profile.Extended.FailedTests...)
		}
	}
	var failing []string
	for _, name := range all() {
		of := slices.DeleteFunc(testsOf(name), func(test string) bool { return !failed.Has(test) })
		if claimed.Has(name) && len(of) > 0 {
			failing = append(failing, fmt.Sprintf("%-60s %s", name, strings.Join(of, " ")))
		}
	}
	list("claimed, and failed", failing)
	return nil
}

// Prints lines under a heading that counts them.
func list(heading string, lines []string) {
	fmt.Printf("%s: %d\n", heading, len(lines))
	for _, line := range lines {
		fmt.Printf("  %s\n", line)
	}
}

// TestsOf names the tests that need a feature.
func testsOf(feature string) []string {
	var names []string
	for _, test := range tests.ConformanceTests {
		if slices.Contains(test.Features, features.FeatureName(feature)) {
			names = append(names, test.ShortName)
		}
	}
	slices.Sort(names)
	return names
}

func read(file string, into any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(content, into)
}

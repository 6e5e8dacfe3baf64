// Features says what the suite could ask of a gateway, and what of it is not claimed.
//
//	features all                    every feature of gateways that this version of the suite knows, by comma
//	features missing CLASS REPORT   from a GatewayClass and a report (JSON, YAML): what is not claimed, and what was claimed
//	                                and failed, by feature
//	features verdict CLASS REPORT LINES PROFILE...
//	                                whether a run was a success: those profiles are in its report, and succeeded, and its lines say
//	                                of every test of what is claimed that it passed. Exit code 1, and what is not so, where not
package main

import (
	"fmt"
	"os"
	"regexp"
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
	case len(os.Args) >= 6 && os.Args[1] == "verdict":
		err = verdict(os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	default:
		err = fmt.Errorf("usage: features all | missing CLASS REPORT | verdict CLASS REPORT LINES PROFILE...")
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

// readBoth reads a GatewayClass and a report.
func readBoth(class, report string) (*gatewayv1.GatewayClass, *confv1.ConformanceReport, error) {
	var gatewayClass gatewayv1.GatewayClass
	if err := read(class, &gatewayClass); err != nil {
		return nil, nil, err
	}
	var conformance confv1.ConformanceReport
	if err := read(report, &conformance); err != nil {
		return nil, nil, err
	}
	return &gatewayClass, &conformance, nil
}

func missing(class, report string) error {
	gatewayClass, conformance, err := readBoth(class, report)
	if err != nil {
		return err
	}
	claimed := claimedBy(gatewayClass)
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

func verdict(class, report, lines string, profiles []string) error {
	gatewayClass, conformance, err := readBoth(class, report)
	if err != nil {
		return err
	}
	said, err := os.ReadFile(lines)
	if err != nil {
		return err
	}
	expected := testsFor(claimedBy(gatewayClass))
	wrongs := judge(conformance, profiles, expected, string(said))
	if len(wrongs) > 0 {
		return fmt.Errorf("no success:\n  %s", strings.Join(wrongs, "\n  "))
	}
	fmt.Printf("success: %d profiles, all of the %d tests of what is claimed passed\n", len(profiles), len(expected))
	return nil
}

// Judge tells what is not as it should be in a report and in the lines of the run.
func judge(report *confv1.ConformanceReport, profiles, expected []string, lines string) []string {
	var wrongs []string
	for _, name := range profiles {
		at := slices.IndexFunc(report.ProfileReports, func(profile confv1.ProfileReport) bool { return profile.Name == name })
		if at < 0 {
			wrongs = append(wrongs, name+" is not in the report")
			continue
		}
		if result := report.ProfileReports[at].Core.Result; result != confv1.Success {
			wrongs = append(wrongs, fmt.Sprintf("core of %s: %s", name, result))
		}
		if extended := report.ProfileReports[at].Extended; extended != nil && extended.Result != confv1.Success {
			wrongs = append(wrongs, fmt.Sprintf("extended part of %s: %s", name, extended.Result))
		}
	}
	if len(expected) == 0 {
		wrongs = append(wrongs, "nothing is claimed that a test is for")
	}
	passed := sets.New[string]()
	for _, line := range passes.FindAllStringSubmatch(lines, -1) {
		passed.Insert(line[1])
	}
	for _, test := range expected {
		if !passed.Has(test) {
			wrongs = append(wrongs, test+" did not pass")
		}
	}
	return wrongs
}

// Passes finds what Go says of a test that passed; of parts of tests it says the same, with a longer name.
var passes = regexp.MustCompile(`(?m)^ *--- PASS: TestConformance/([^/ ]+) \(`)

// TestsFor names the tests that ask for nothing but these features, as the suite chooses them.
func testsFor(claimed sets.Set[string]) []string {
	var names []string
	for _, test := range tests.ConformanceTests {
		isClaimed := func(feature features.FeatureName) bool { return claimed.Has(string(feature)) }
		if !slices.ContainsFunc(test.Features, func(feature features.FeatureName) bool { return !isClaimed(feature) }) {
			names = append(names, test.ShortName)
		}
	}
	slices.Sort(names)
	return names
}

func claimedBy(class *gatewayv1.GatewayClass) sets.Set[string] {
	claimed := sets.New[string]()
	for _, feature := range class.Status.SupportedFeatures {
		claimed.Insert(string(feature.Name))
	}
	return claimed
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

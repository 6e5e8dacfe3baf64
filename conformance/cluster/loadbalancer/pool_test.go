package loadbalancer

import "testing"

func TestAnAddressLetGoIsNotMetAgainAtOnce(t *testing.T) {
	p := newPool()
	first, _ := p.any("a")
	p.release("a")
	if again, _ := p.any("b"); again == first {
		t.Errorf("%s was given again at once", again)
	}
}

func TestARequestedAddressIsGivenOrRefusedAndNoOtherIsGivenInstead(t *testing.T) {
	p := newPool()
	if given, refused := p.ask("a", "10.112.0.250"); refused != nil || given.String() != "10.112.0.250" {
		t.Errorf("a free address: %v, %v", given, refused)
	}
	for requested, reason := range map[string]string{
		"192.0.2.9": "NotInPool", "10.112.0.251": "NotInPool", "::1": "NotInPool", "nonsense": "NotInPool", "10.112.0.250": "InUse",
	} {
		if given, refused := p.ask("b", requested); refused == nil || refused.reason != reason || given.IsValid() {
			t.Errorf("%s: %v, %v", requested, given, refused)
		}
	}
	p.takeFreed()
	if _, refused := p.ask("a", "192.0.2.9"); refused == nil || !p.takeFreed() {
		t.Error("whoever asks for another address holds the former one no longer, and others hear of it")
	}
	if _, refused := p.ask("b", "10.112.0.250"); refused != nil {
		t.Error(refused.message)
	}
}

func TestThePoolEnds(t *testing.T) {
	p := newPool()
	for owner := range 200 {
		if _, refused := p.any(string(rune('0' + owner))); refused != nil {
			t.Fatalf("%d: %s", owner, refused.message)
		}
	}
	if _, refused := p.any("one more"); refused == nil || refused.reason != "Exhausted" {
		t.Errorf("%v", refused)
	}
}

package loadbalancer

import (
	"fmt"
	"net/netip"
)

// The addresses given to whoever asks for none, and the last one that may be asked for by name. Those between the two are
// free unless somebody asks for them.
var (
	firstAddress = netip.MustParseAddr("10.112.0.10")
	lastOfOwn    = netip.MustParseAddr("10.112.0.209")
	lastAddress  = netip.MustParseAddr("10.112.0.250")
)

// A refusal says why a requested address is not given.
type refusal struct{ reason, message string }

// A pool knows which address each owner holds. An owner is the UID of a Service.
type pool struct {
	holders map[netip.Addr]string
	next    netip.Addr
	freed   bool
}

func newPool() *pool {
	return &pool{holders: map[netip.Addr]string{}, next: firstAddress}
}

// Ask gives the requested address to the owner, or refuses it. The owner then holds that address alone, or none.
func (p *pool) ask(owner, requested string) (netip.Addr, *refusal) {
	address, err := netip.ParseAddr(requested)
	if err != nil || address.Less(firstAddress) || lastAddress.Less(address) {
		p.release(owner)
		return netip.Addr{}, &refusal{"NotInPool",
			fmt.Sprintf("address %q is not in the pool %s-%s", requested, firstAddress, lastAddress)}
	}
	holder, held := p.holders[address]
	if held && holder == owner {
		return address, nil
	}
	p.release(owner)
	if held {
		return netip.Addr{}, &refusal{"InUse", fmt.Sprintf("address %q is held by another Service", requested)}
	}
	p.holders[address] = owner
	return address, nil
}

// Any gives the owner what it holds, or the next free address in turn, so that one let go is not met again at once.
func (p *pool) any(owner string) (netip.Addr, *refusal) {
	for address, holder := range p.holders {
		if holder == owner {
			return address, nil
		}
	}
	start := p.next
	for {
		address := p.next
		p.next = address.Next()
		if lastOfOwn.Less(p.next) {
			p.next = firstAddress
		}
		if _, held := p.holders[address]; !held {
			p.holders[address] = owner
			return address, nil
		}
		if p.next == start {
			return netip.Addr{}, &refusal{"Exhausted", "no address is left in the pool"}
		}
	}
}

// Release lets go of what the owner holds.
func (p *pool) release(owner string) {
	for address, holder := range p.holders {
		if holder == owner {
			delete(p.holders, address)
			p.freed = true
		}
	}
}

// TakeFreed says whether an address became free since it was last asked.
func (p *pool) takeFreed() bool {
	freed := p.freed
	p.freed = false
	return freed
}

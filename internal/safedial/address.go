package safedial

import "net/netip"

// special is what looks public to net/netip and is not: IANA's special-purpose registries, and the addresses at which
// clouds answer their own machines.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"168.63.129.16/32", // Azure: within its public range, answers its machines alone
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48",
	"3fff::/20", "5f00::/16",
)

// global6 is all that IANA gives out for the public IPv6 network.
var global6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}

	return list
}

// Public reports whether addr is one of the public internet.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")

	switch {
	case !addr.IsValid(), !addr.IsGlobalUnicast(), addr.IsPrivate(), addr.IsLoopback(), addr.IsLinkLocalUnicast():
		return false
	case addr.Is6() && !global6.Contains(addr):
		return false
	}

	for _, prefix := range special {
		if prefix.Contains(addr) {
			return false
		}
	}

	return true
}

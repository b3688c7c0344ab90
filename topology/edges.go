package topology

// Evidence is why a picture shows one node below another.
type Evidence string

// The kinds of evidence.
const (
	LinkConfirmed   Evidence = "confirmed"   // the upstream says that it sends
	LinkUnconfirmed Evidence = "unconfirmed" // the standby says that it receives, and the upstream does not answer or does not know of it
	LinkHearsay     Evidence = "hearsay"     // the upstream says that it sends, and the standby does not answer
	LinkArchive     Evidence = "archive"     // the standby is meant to live from the archive, and to be shown there
	LinkWanted      Evidence = "wanted"      // nobody says so, but it should be so
)

// edge is a line of a picture, from an upstream to a node below it.
type edge struct {
	up, down *Place
	evidence Evidence
	link     *Link // what the upstream says; nil if it is not asked or says nothing
}

// edges returns one line for each node that has, or should have, an upstream: from where the best evidence says that it streams.
func (t Tree) edges() []edge {
	places := t.Places()
	byID := map[NodeID]*Place{}
	var shape Cluster
	for _, p := range places {
		byID[p.Node.ID] = p
		shape.Nodes = append(shape.Nodes, p.Node)
	}
	parents := map[*Place]*Place{}
	for _, p := range places {
		for _, child := range p.Children {
			parents[child] = p
		}
	}
	var all []edge
	for _, p := range places {
		if e, ok := t.edge(p, shape, byID, parents[p]); ok {
			all = append(all, e)
		}
	}
	return all
}

// edge returns the line to a node.
func (t Tree) edge(p *Place, shape Cluster, byID map[NodeID]*Place, parent *Place) (edge, bool) {
	if parent != nil && p.Link != nil {
		if p.Link.State == fromArchive {
			return edge{parent, p, LinkArchive, nil}, true
		}
		return edge{parent, p, LinkConfirmed, p.Link}, true
	}
	if r := p.Observation.Receiver; p.Observation.Err == nil && p.Observation.InRecovery && r != nil {
		if id, ok := shape.at(r.Host, r.Port); ok && id != p.Node.ID {
			return edge{byID[id], p, LinkUnconfirmed, nil}, true
		}
	}
	for _, h := range p.Hearsay {
		if h.Sender != nil && h.From != p.Node.ID {
			return edge{byID[h.From], p, LinkHearsay, h.link(t.ends())}, true
		}
	}
	up := byID[p.Node.Upstream]
	if p.Node.Upstream == Leader && len(t.Primaries()) == 1 {
		up = t.Primaries()[0]
	}
	switch {
	case up == nil || up == p || p.Role == RolePrimary:
		return edge{}, false
	case p.Node.ArchiveOnly:
		return edge{up, p, LinkArchive, nil}, true
	default:
		return edge{up, p, LinkWanted, nil}, true
	}
}

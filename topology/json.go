package topology

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// DocumentVersion is the version of [Document]. It changes when a field goes or comes to mean something else, not when one is added.
const DocumentVersion = 1

// Document is a [Report] for tools, as [Report.JSON] writes it. Figures that are not known are left out, never zero.
type Document struct {
	Version  int            `json:"version"`
	Cluster  string         `json:"cluster"`
	At       time.Time      `json:"at"`                // when the last answer was in
	Level    Severity       `json:"level"`             // of the worst problem: fine, notice, warning or critical
	Primary  NodeID         `json:"primary,omitempty"` // see [Report]
	Likely   NodeID         `json:"likely,omitempty"`
	Nodes    []DocumentNode `json:"nodes"`    // parents before children
	Problems []Problem      `json:"problems"` // the most severe first
}

// DocumentNode is a node, what should be and what is.
type DocumentNode struct {
	ID   NodeID `json:"id"`
	Host string `json:"host"`
	Port int    `json:"port"`
	Site string `json:"site,omitempty"`

	// WantedUpstream is that of the desired shape: a node, "leader", or empty for the primary.
	WantedUpstream NodeID `json:"wanted_upstream"`

	Role  Role   `json:"role"`  // see [Role]
	State string `json:"state"` // see [Place.State]: for people, may be worded otherwise in the next release

	Link *DocumentLink `json:"link,omitempty"` // where it streams from; absent if nobody says so

	// Heard is what others say of a node that did not answer.
	Heard []DocumentHearsay `json:"heard,omitempty"`

	// Observation is what the node said, or why nothing is known.
	Observation Observation `json:"observation"`
}

// DocumentLink is how a node hangs on its upstream.
type DocumentLink struct {
	Upstream    NodeID   `json:"upstream"`
	Evidence    Evidence `json:"evidence"` // confirmed, unconfirmed, hearsay or archive
	State       string   `json:"state,omitempty"`
	SyncState   string   `json:"sync_state,omitempty"`
	FlushBytes  *int64   `json:"flush_bytes,omitempty"`  // behind the upstream's position
	ReplayBytes *int64   `json:"replay_bytes,omitempty"` // the same
	ReplayNanos *int64   `json:"replay_nanos,omitempty"` // from a commit on the upstream to its replay here
}

// DocumentHearsay is a [Hearsay].
type DocumentHearsay struct {
	From     NodeID    `json:"from"`
	At       time.Time `json:"at"`
	Relation string    `json:"relation"` // "sends to it" or "receives from it"
	Text     string    `json:"text"`     // for people
}

// Document returns the report for tools.
func (r Report) Document() Document {
	d := Document{
		Version: DocumentVersion, Cluster: r.Cluster, At: r.At, Level: r.Level(), Primary: r.Primary, Likely: r.Likely,
		Nodes: []DocumentNode{}, Problems: append([]Problem{}, r.Problems...),
	}
	links := map[*Place]*DocumentLink{}
	for _, e := range r.Tree.edges() {
		links[e.down] = e.document()
	}
	for _, p := range r.Tree.Places() {
		d.Nodes = append(d.Nodes, p.document(links[p]))
	}
	return d
}

// JSON writes the report's [Document], indented, with a newline at its end. What a terminal would not show as it is, is escaped.
func (r Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r.Document(), "", "  ")
	if err != nil {
		return nil, err
	}
	return append(escapeJSON(text), '\n'), nil
}

// escapeJSON escapes runes that are not graphic. Beside line ends, they stand in strings only.
func escapeJSON(text []byte) []byte {
	escaped := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r == '\n' || unicode.IsGraphic(r) {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, half := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, half)
		}
	}
	return escaped
}

func (p *Place) document(link *DocumentLink) DocumentNode {
	host, port := p.Node.Address()
	d := DocumentNode{
		ID: p.Node.ID, Host: host, Port: port, Site: p.Node.Site, WantedUpstream: p.Node.Upstream,
		Role: p.Role, State: p.State(), Link: link, Observation: p.Observation,
	}
	for _, h := range p.Hearsay {
		d.Heard = append(d.Heard, DocumentHearsay{h.From, h.At, h.relation(), h.String()})
	}
	return d
}

// document returns the line for tools; nil for one that is only wanted.
func (e edge) document() *DocumentLink {
	if e.evidence == LinkWanted {
		return nil
	}
	d := &DocumentLink{Upstream: e.up.Node.ID, Evidence: e.evidence}
	if l := e.link; l != nil {
		d.State, d.SyncState = l.State, l.SyncState
		if l.FlushBytes >= 0 {
			d.FlushBytes = &l.FlushBytes
		}
		if l.ReplayBytes >= 0 {
			nanos := l.ReplayTime.Nanoseconds()
			d.ReplayBytes, d.ReplayNanos = &l.ReplayBytes, &nanos
		}
	}
	return d
}

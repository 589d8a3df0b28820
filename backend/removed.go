package backend

import "encoding/json"

// Removed is a key that is not, or no longer, among what a query selects.
type Removed struct {
	Key
	Revision Revision // of the change after which it is not
	Reason   string   // of the removal; ReasonUnmatched where it is there and does not match
}

// AppendJSON appends r as the protocol shows it.
func (r *Removed) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"namespace":`...)
	dst = appendQuoted(dst, r.Namespace)
	dst = append(dst, `,"service":`...)
	dst = appendQuoted(dst, r.Service)
	dst = append(dst, `,"instance":`...)
	dst = appendQuoted(dst, r.Instance)
	dst = append(dst, `,"revision":`...)
	dst = appendInt(dst, r.Revision)
	dst = append(dst, `,"reason":`...)
	return append(appendQuoted(dst, r.Reason), '}')
}

// MarshalJSON implements json.Marshaler in the form of [Removed.AppendJSON].
func (r Removed) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler. Members it does not know are ignored.
func (r *Removed) UnmarshalJSON(text []byte) error {
	var plain struct {
		Namespace string   `json:"namespace"`
		Service   string   `json:"service"`
		Instance  string   `json:"instance"`
		Revision  Revision `json:"revision"`
		Reason    string   `json:"reason"`
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	*r = Removed{
		Key:      Key{Namespace: plain.Namespace, Service: plain.Service, Instance: plain.Instance},
		Revision: plain.Revision, Reason: plain.Reason,
	}
	return r.Key.Validate()
}

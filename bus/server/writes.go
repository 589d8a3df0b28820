package server

import (
	"context"
	"strconv"

	"github.com/roostbus/roost/backend"
	"github.com/roostbus/roost/bus"
)

func (s *Server) register(ctx context.Context, r *request) (answer, error) {
	key, err := s.subjects.ParseKey(bus.VerbRegister, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.RegisterRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Agrees(key); err != nil {
		return answer{}, err
	}
	registration, err := q.Registration(key)
	if err != nil {
		return answer{}, err
	}
	w, err := r.identified(q.Guard, "")
	if err != nil {
		return answer{}, err
	}
	return r.found(s.b.Register(ctx, registration, w))
}

func (s *Server) update(ctx context.Context, r *request) (answer, error) {
	key, err := s.subjects.ParseKey(bus.VerbUpdate, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.UpdateRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Agrees(key); err != nil {
		return answer{}, err
	}
	change, err := q.Change()
	if err != nil {
		return answer{}, err
	}
	w, err := r.identified(q.Guard, "")
	if err != nil {
		return answer{}, err
	}
	return r.found(s.b.Update(ctx, key, change, w))
}

func (s *Server) unregister(ctx context.Context, r *request) (answer, error) {
	key, err := s.subjects.ParseKey(bus.VerbUnregister, r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.UnregisterRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Agrees(key); err != nil {
		return answer{}, err
	}
	w, err := r.identified(q.Guard, q.Reason)
	if err != nil {
		return answer{}, err
	}
	return r.removed(s.b.Unregister(ctx, key, w))
}

// adminUnregister removes whatever is there. Who may ask for it is the business of NATS
// permissions.
func (s *Server) adminUnregister(ctx context.Context, r *request) (answer, error) {
	key, err := s.subjects.ParseAdminUnregister(r.subject)
	if err != nil {
		return answer{}, err
	}
	var q bus.AdminUnregisterRequest
	if err := decode(r.data, &q); err != nil {
		return answer{}, err
	}
	if err := q.Agrees(key); err != nil {
		return answer{}, err
	}
	w, err := r.identified(bus.Guard{}, q.Reason)
	if err != nil {
		return answer{}, err
	}
	w.Force = true
	return r.removed(s.b.Unregister(ctx, key, w))
}

// removed is the answer to an unregister.
func (r *request) removed(removal backend.Removal, stamp backend.Stamp, err error) (answer, error) {
	if err != nil {
		return answer{stamp: stamp}, err
	}
	r.buf = append(r.buf[:0], `{"removed":`...)
	r.buf = strconv.AppendBool(r.buf, removal.Removed)
	if removal.Removed {
		r.buf = append(r.buf, `,"revision":`...)
		r.buf = strconv.AppendUint(r.buf, uint64(removal.Revision), 10)
	}
	r.buf = append(r.buf, '}')
	return answer{body: r.buf, stamp: stamp}, nil
}

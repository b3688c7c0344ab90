package promote_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-ha/understudy/recovery/promote"
)

func ExamplePromote() {
	pool := &script{answers: [][]any{standby(170000), replaying, {true}, primary(170000), writes, id}} // in real life a *pgxpool.Pool
	result, err := promote.Promote(context.Background(), promote.Standby{DB: pool})
	fmt.Printf("%s: timeline %d at %v, %v\n", result.Way, result.Timeline, result.LSN, err)
	// Output: pg_promote(): timeline 2 at 0/5000060, <nil>
}

// Whoever tries again after a crash says on which timeline he last saw the standby.
func ExamplePromote_again() {
	pool := &script{answers: [][]any{primary(170000), writes}}
	_, err := promote.Promote(context.Background(), promote.Standby{DB: pool, From: 1})
	fmt.Println(errors.Is(err, promote.ErrAlreadyPromoted), err)
	// Output: true promote: the server has been promoted already: it left timeline 1 and is a primary on timeline 2 at 0/5000060
}

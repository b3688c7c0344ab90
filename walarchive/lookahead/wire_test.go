package lookahead

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hear is what a client makes of what a helper said before it died.
func hear(text string) (response, error) {
	client, helper := net.Pipe()
	defer client.Close()
	go func() {
		_, _ = helper.Write([]byte(text))
		_ = helper.Close()
	}()
	return readResponse(client, time.Minute)
}

// An answer counts only if it is whole, wherever the helper died.
func TestResponse_cut_off_anywhere(t *testing.T) {
	for _, whole := range []string{
		greeting + "\n" + `{"Outcome":"archived","Name":"x","Message":""}` + "\n",
		greeting + "\n" + patience + "\n" + patience + "\n" + `{"Outcome":"absent","Name":"x","Message":""}` + "\n",
	} {
		for n := range len(whole) {
			_, err := hear(whole[:n])
			require.Error(t, err, "%q", whole[:n])
		}
		r, err := hear(whole + "more")
		require.NoError(t, err)
		require.Equal(t, "x", r.Name)
	}
}

// FuzzResponse_only_from_our_version: whatever is said, an answer comes only from a helper of this version, and ends in a newline.
func FuzzResponse_only_from_our_version(f *testing.F) {
	for _, text := range []string{"", greeting, greeting + "\n{}\n", greeting + "\n" + patience + "\n{\"Outcome\":\"archived\"}\n",
		"understudy lookahead 2\n{}\n", greeting + "\nnull\n", greeting + "\n[]\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := hear(text); err == nil {
			require.Regexp(t, "^"+greeting+"\n("+patience+"\n)*[^\n]+\n", text)
		}
	})
}

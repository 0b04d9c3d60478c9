//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

type upload struct {
	ID     int    `json:"id"`
	Status string `json:"status"`
}

// TestUploadAsyncPolling sends a file and polls until it has been processed. It asks a running API: VEZA_API_URL is its
// address and VEZA_TOKEN a token of its own.
func TestUploadAsyncPolling(t *testing.T) {
	api, token := os.Getenv("VEZA_API_URL"), os.Getenv("VEZA_TOKEN")
	if api == "" || token == "" {
		t.Fatal("VEZA_API_URL and VEZA_TOKEN are not set")
	}
	request, err := http.NewRequest(http.MethodPost, api+"/api/v1/uploads", bytes.NewReader([]byte("OggS sound")))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	sent := answered(t, request, http.StatusAccepted)

	deadline := time.Now().Add(10 * time.Second)
	for sent.Status == "pending" && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		poll, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/v1/uploads/%d", api, sent.ID), nil)
		if err != nil {
			t.Fatal(err)
		}
		sent = answered(t, poll, http.StatusOK)
	}
	if sent.Status != "done" {
		t.Fatalf("upload %d is %q after polling, expected done", sent.ID, sent.Status)
	}
}

func answered(t *testing.T, request *http.Request, status int) upload {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Fatalf("%s answered %d, expected %d", request.URL, response.StatusCode, status)
	}
	var found upload
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

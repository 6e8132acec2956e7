// Command openapi-client mutes the sandbox's customer with the client that oapi-codegen
// generates, and reads the reason of an error. SANDBOX_REST is the address.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"openapi-client/api"
)

const (
	conference = "CFcf000000000000000000000000000001"
	customer   = "CAca000000000000000000000000000002"
)

func main() {
	client, err := api.NewClientWithResponses(os.Getenv("SANDBOX_REST"))
	if err != nil {
		log.Fatal(err)
	}
	muted := true
	answer, err := client.UpdateParticipantWithResponse(context.Background(), conference, customer,
		nil, api.UpdateParticipantJSONRequestBody{Muted: &muted})
	if err != nil {
		log.Fatal(err)
	}
	if answer.JSON200 == nil || !*answer.JSON200.Participant.Muted {
		log.Fatalf("HTTP status %s: %s", answer.Status(), answer.Body)
	}
	answer, err = client.UpdateParticipantWithResponse(context.Background(), conference, "nobody",
		nil, api.UpdateParticipantJSONRequestBody{Muted: &muted})
	if err != nil {
		log.Fatal(err)
	}
	if answer.JSON404 == nil || *answer.JSON404.Details[0].Reason != "PARTICIPANT_NOT_FOUND" {
		log.Fatalf("HTTP status %s: %s", answer.Status(), answer.Body)
	}
	fmt.Println("oapi-codegen: muted")
}

// Package receipts verifies receipts of Bytepass with golang-jwt:
//
//	go get github.com/golang-jwt/jwt/v5 github.com/MicahParks/keyfunc/v3
//
// Copy this file. A handler that takes the receipt from the browser (a changed receipt is refused):
//
//	verifier, err := receipts.New(ctx, "https://uploads.example/.well-known/jwks.json", "https://uploads.example", "bytepass-receipts")
//
//	func setImage(w http.ResponseWriter, r *http.Request) {
//		claims, err := verifier.Verify(r.FormValue("receipt"), "Product.image", "user:"+userID(r))
//		if err != nil {
//			http.Error(w, "the receipt is not valid for this request", http.StatusUnprocessableEntity)
//			return
//		}
//		// claims.Name is what the column of product.image holds.
//	}
//
// The owner is how the broker names this user: the owner_prefix of the token's issuer, then the token's sub.
// A receipt can be presented repeatedly until it expires. Where it may count only once, store its ID (jti) in a unique column.
package receipts

import (
	"context"
	"errors"
	"fmt"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// Claims are the members of a receipt, besides its issuer, audience, subject (the owner), ID (the upload's) and times.
type Claims struct {
	Field       string  `json:"field"`
	ObjectID    *string `json:"object_id"`
	Bucket      string  `json:"bucket"`
	Key         string  `json:"key"`
	Name        string  `json:"name"`
	Size        int64   `json:"size"`
	ContentType string  `json:"content_type"`
	Checksum    *struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"value"`
	} `json:"checksum"`
	ETag string `json:"etag"`
	jwt.RegisteredClaims
}

// Verifier keeps the broker's keys fresh. Make one for a process.
type Verifier struct {
	keys   jwt.Keyfunc
	parser *jwt.Parser
}

// New fetches the keys, and again in the background until ctx ends.
func New(ctx context.Context, jwksURL, issuer, audience string) (*Verifier, error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{jwksURL})
	if err != nil {
		return nil, fmt.Errorf("the broker's keys: %w", err)
	}
	parser := jwt.NewParser(
		// The algorithms that the broker signs with. Never take them from the receipt itself.
		jwt.WithValidMethods([]string{"EdDSA", "ES256"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
	)
	return &Verifier{keys: keys.Keyfunc, parser: parser}, nil
}

// Verify returns the claims of a receipt that is valid for this field and owner. Compare ObjectID yourself where a
// receipt must be for one record.
func (v *Verifier) Verify(receipt, field, owner string) (*Claims, error) {
	claims := new(Claims)
	token, err := v.parser.ParseWithClaims(receipt, claims, v.keys)
	if err != nil {
		return nil, err
	}
	switch {
	// The broker's key also signs grants; the type tells them apart.
	case token.Header["typ"] != "receipt+jwt":
		return nil, errors.New("the token is not a receipt")
	case claims.Field != field:
		return nil, errors.New("the receipt is for another field")
	case claims.Subject != owner:
		return nil, errors.New("the receipt belongs to another owner")
	case claims.ID == "" || claims.Name == "":
		return nil, errors.New("the receipt names no object")
	}
	return claims, nil
}

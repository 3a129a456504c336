// A SAML identity provider for tests: the samlidp of crewjam/saml, with a new key and SHA-256.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/logger"
	"github.com/crewjam/saml/samlidp"
	dsig "github.com/russellhaering/goxmldsig"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// persistent names people by a name that lasts, as providers in companies do.
type persistent struct{ server *samlidp.Server }

func (p persistent) GetSession(w http.ResponseWriter, r *http.Request, req *saml.IdpAuthnRequest) *saml.Session {
	session := p.server.GetSession(w, r, req)
	if session != nil {
		session.NameID = "id-of-" + session.UserName
		session.NameIDFormat = string(saml.PersistentNameIDFormat)
	}
	return session
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "where to listen")
	base := flag.String("url", "http://127.0.0.1:8080", "how it is reached")
	flag.Parse()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "saml identity provider"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour * 24),
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key))
	server := must(samlidp.New(samlidp.Options{
		URL:         *must(url.Parse(*base)),
		Key:         key,
		Certificate: must(x509.ParseCertificate(der)),
		Logger:      logger.DefaultLogger,
		Store:       &samlidp.MemoryStore{},
	}))
	// Its form goes on with the request that asked, instead of showing a session.
	server.IDP.LoginURL = server.IDP.SSOURL
	server.IDP.SessionProvider = persistent{server}
	server.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
	log.Fatal(http.ListenAndServe(*address, server))
}

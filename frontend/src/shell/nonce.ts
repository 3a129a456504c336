// The control plane allows only styles that carry the nonce of the page they came with. Some parts of
// Ant Design (scroll bars, dialogs) write style elements without asking for one, so all get it here.
const nonce = document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce;

if (nonce !== undefined) {
  /* eslint-disable @typescript-eslint/unbound-method, @typescript-eslint/no-deprecated --
     it is bound anew at each call, and only an overload for tags that are no more is deprecated */
  const create = Document.prototype.createElement;
  Document.prototype.createElement = function (this: Document, ...given: [string, ElementCreationOptions?]) {
    const made = create.apply(this, given);
    if (made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  };
}

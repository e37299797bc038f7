// What GraphiQL keeps in the browser, without headers: they hold API keys. Its tabs leave them out by themselves, its history
// does not.
const withoutHeaders = (key, value) => (key === 'headers' ? null : value);

/** The browser's storage as GraphiQL takes it. */
export const storage = {
  getItem: (key) => localStorage.getItem(key),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
  get length() {
    return localStorage.length;
  },
  setItem(key, value) {
    localStorage.setItem(key, key.startsWith('graphiql:') && value.includes('"headers"') ? strip(value) : value);
  },
};

function strip(value) {
  try {
    return JSON.stringify(JSON.parse(value), withoutHeaders);
  } catch {
    return value; // a document that has the word in it, not a list of operations
  }
}

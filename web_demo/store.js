// Recordings kept in this browser, for servers that keep none.

function open() {
  return new Promise((done, failed) => {
    const request = indexedDB.open("mynah", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("voices", { keyPath: "name" });
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

async function act(mode, action) {
  const database = await open();
  try {
    return await new Promise((done, failed) => {
      const request = action(database.transaction("voices", mode).objectStore("voices"));
      request.onsuccess = () => done(request.result);
      request.onerror = () => failed(request.error);
    });
  } finally {
    database.close();
  }
}

/** All `{name, transcript, wav: Blob}`. */
export const all = () => act("readonly", (store) => store.getAll());
export const put = (voice) => act("readwrite", (store) => store.put(voice));
export const remove = (name) => act("readwrite", (store) => store.delete(name));

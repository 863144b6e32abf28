// What the model asks for and answers, as the server wrote it into the form (web/form.py).

export const form = document.getElementById("record");
// Not form.dataset: a field may be called so, and would hide it.
export const schema = JSON.parse(form.getAttribute("data-schema"));

// The title within a sentence: "heart rate", but "SpO2" and "INR".
export const within = (title) => title.replace(/^\p{Lu}(?=\p{Ll}+(?!\p{L}|\p{N}))/u, (letter) => letter.toLowerCase());

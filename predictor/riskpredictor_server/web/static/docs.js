// The address in the example as this browser sees it: a proxy may have added a path or TLS.

document.getElementById("predict-url").textContent = new URL("predict", location.href).href;

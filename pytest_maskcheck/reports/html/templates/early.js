document.documentElement.className = "js";  // before anything is drawn: page.css then shows one part of the page at a time

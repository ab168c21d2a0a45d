// The big button: held by pointer or by the space bar, from anywhere on the page where the space bar does nothing else.

export class Press {
  /** `ready()`: may it be held now? `changed(down)` is told each time. A click by assistive technology, which can't hold, toggles. */
  constructor(button, ready, changed) {
    Object.assign(this, { button, ready, changed, down: false });
    button.addEventListener("pointerdown", (event) => {
      if (event.button || !ready()) return;
      button.setPointerCapture(event.pointerId); // letting go beside the button counts
      this.hold(true);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => this.hold(false));
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a phone
    button.addEventListener("click", (event) => event.detail === 0 && ready() && this.hold(!this.down));
    window.addEventListener("blur", () => this.hold(false));
    for (const way of ["keydown", "keyup"]) document.addEventListener(way, (event) => this.#space(event, way === "keydown"));
  }

  hold(down) {
    if (this.down === down) return;
    this.down = down;
    this.button.setAttribute("aria-pressed", String(down));
    this.changed(down);
  }

  #space(event, down) {
    const elsewhere = event.target !== this.button && event.target.closest("button, input, dialog");
    if (event.code !== "Space" || elsewhere || !this.ready()) return;
    event.preventDefault(); // no scrolling, no click
    if (!event.repeat) this.hold(down);
  }
}

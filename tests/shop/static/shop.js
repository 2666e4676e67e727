// The shop's only script: what is popular, and the price of a cart.
"use strict";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function card(item) {
  const link = document.createElement("a");
  link.className = "card";
  link.href = `/items/${item.id}`;
  const picture = new Image(160, 120);
  picture.src = `/pictures/${item.kind}.svg`;
  picture.alt = "";
  const name = document.createElement("h3");
  name.textContent = item.name;
  const price = document.createElement("p");
  price.className = "price";
  price.textContent = `€ ${item.price.toFixed(2)}`;
  link.append(picture, name, price);
  return link;
}

async function showBestsellers(place) {
  const answer = await fetch(place.dataset.source);
  const { items } = await answer.json();
  place.replaceChildren(...items.map(card));
  place.setAttribute("aria-busy", "false");
}

async function showTotal(place) {
  for (;;) {
    const answer = await fetch(`/api/cart/${place.dataset.cart}`);
    const cart = await answer.json();
    if (cart.priced) {
      place.textContent = `€ ${cart.total.toFixed(2)}`;
      return;
    }
    await pause(100);
  }
}

const bestsellers = document.getElementById("bestsellers");
if (bestsellers) showBestsellers(bestsellers);
const total = document.getElementById("total");
if (total) showTotal(total);

/** A GPU that goes away: in the middle of a dispatch, and between two jobs. The files are those of the CPU all the same. */
import { choose, compareButton, downloads, finished, test, undisturbed } from './disturbed.ts';
import { expect } from './lane.ts';

let expected: Record<string, string>;
test.beforeAll(() => {
  expected = undisturbed();
});

test('the device lost in the middle of a dispatch: the rest is done on the CPU, which is said', async ({
  page,
  between,
}) => {
  // Destroys the device with a dispatch under way, once the first level is written: what comes before is the self-check.
  between.plant(
    'engine',
    `{
    let device = null;
    let armed = false;
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...args) { return (device = await request.apply(this, args)); };
    const submit = GPUQueue.prototype.submit;
    GPUQueue.prototype.submit = function (buffers) { submit.call(this, buffers); if (armed) { armed = false; device.destroy(); } };
    const post = MessagePort.prototype.postMessage;
    MessagePort.prototype.postMessage = function (message, ...rest) { post.call(this, message, ...rest); if (message?.event?.type === 'written' && message.event.file === 'tiny_fp16.onnx') armed = true; };
  }`,
    1,
  );
  await page.goto('/');
  await choose(page);
  await compareButton(page).click();
  await finished(page);
  await expect(
    page.getByText(/^The GPU went away while quantizing; the rest was done on the CPU\./).first(),
  ).toBeVisible();
  await expect(page.getByText(/Weights quantized on WASM\./)).toBeVisible();
  expect(await downloads(page)).toEqual(expected);
});

test('the GPU crashes between two jobs: the next one has what there is', async ({ page, browser }) => {
  await page.goto('/');
  await choose(page);
  await expect(page.getByText(/WebGPU: .*swiftshader/i).first()).toBeVisible();
  const cdp = await browser.newBrowserCDPSession();
  await cdp.send('Browser.crashGpuProcess');
  await compareButton(page).click();
  await finished(page);
  expect(await downloads(page)).toEqual(expected);
  await expect(page.getByRole('alert')).toHaveCount(0);
  // What the page says of the machine is what the job used.
  const used = await page.getByText(/Weights quantized on (WebGPU|WASM)\./).textContent();
  await expect(
    page.getByText(/on WebGPU/.test(used ?? '') ? /WebGPU: .*swiftshader/i : /^WASM, \d+ thread/).first(),
  ).toBeVisible();
});

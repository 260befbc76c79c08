import '@mantine/core/styles.css';
import 'virtual:theme.css';
import './app/global.css';
import { MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app/app.tsx';
import { createBrowserPage } from './app/browser-page.ts';
import { keepForOffline } from './app/offline/register.ts';
import { theme } from './app/theme.ts';
import { PageContext } from './store/use-workbench.ts';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

keepForOffline();
createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withStaticClasses={false}
      withGlobalClasses={false}
    >
      <PageContext value={createBrowserPage()}>
        <App />
      </PageContext>
    </MantineProvider>
  </StrictMode>,
);

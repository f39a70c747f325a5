// SPDX-License-Identifier: MIT
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { start } from './session.ts';
import './styles/base.css';
import './styles/frame.css';
import './styles/ask.css';
import './styles/documents.css';
import './styles/why.css';

void start();
createRoot(document.getElementById('root') as HTMLElement).render(<StrictMode><App /></StrictMode>);
